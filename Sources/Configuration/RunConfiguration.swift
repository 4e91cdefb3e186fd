/// Everything that defines a run: what a configuration file says, with defaults for what it leaves out.
///
/// Sections and keys are named as in the file (`training.learning_rate` is `training.learningRate`); ranges, defaults
/// and meanings are in ``ConfigurationSchema`` and docs/configuration.md.
public struct RunConfiguration: Sendable, Equatable {
    /// Names the run and, unless `run_folder` is given, its folder.
    public var name = ""
    /// Seed of every random choice of the run: prompt order and sampling.
    public var seed: UInt64 = 1
    /// Where the run writes; `runs/<name>` unless given.
    public var runFolder = ""
    public var student = Model()
    /// Of a model that is made from scratch, instead of `student.model`.
    public var shape = Shape()
    /// Adapters that are trained instead of all weights.
    public var lora = LoRA()
    /// Teachers by label; a prompt names its teacher with its `teacher` field.
    public var teachers: [String: Model] = [:]
    public var data = Data()
    public var sampling = Sampling()
    public var objective = Objective()
    public var training = Training()
    public var pipeline = Pipeline()
    public var security = Security()
    public var evaluation = Evaluation()
    public var checkpoint = Checkpoint()

    public init() {}

    /// Element type of weights and activations; log-probabilities and the optimizer are always f32.
    public enum DType: String, Sendable, CaseIterable { case bf16, f32 }

    /// A model and the precision it is run in.
    public struct Model: Sendable, Equatable {
        /// Hugging Face folder, GGUF file, or folder with one GGUF.
        public var model = ""
        public var dtype = DType.bf16
        public init() {}
    }

    /// The shape of a model from scratch.
    public struct Shape: Sendable, Equatable {
        /// 0: no model is made.
        public var layers = 0
        public var hidden = 128
        public var heads = 4
        public var keyValueHeads = 4
        public var intermediate = 384
        public var context = 256
        /// Of the random weights.
        public var seed = 1
        public init() {}
    }

    /// Low-rank adapters.
    public struct LoRA: Sendable, Equatable {
        /// 0: all weights are trained.
        public var rank = 0
        /// What the adapters add is multiplied by `alpha / rank`.
        public var alpha = 32.0
        /// Projections that have adapters; empty: all.
        public var targets: [String] = []
        /// Of the random values that they begin with.
        public var seed = 1
        public init() {}

        /// Names that `targets` may have.
        public static let targetNames = [
            "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
        ]
    }

    public struct Data: Sendable, Equatable {
        /// JSON lines of training prompts.
        public var prompts = ""
        /// JSON lines of held-out prompts; empty: those of the task, or no evaluation.
        public var heldout = ""
        /// A generated task instead of `prompts`.
        public var task = ""
        /// Different training problems of the task that are asked; supervised runs take as many as they need.
        public var taskPrompts = 4096
        /// Held-out problems of the task.
        public var heldoutCount = 128
        /// `auto` or the name of a chat template.
        public var template = Template.auto
        public var promptsPerStep = 8
        public var samplesPerPrompt = 4
        /// Whether each pass over the prompts has an order of its own, drawn from the seed.
        public var shuffle = true
        public init() {}

        public enum Template: String, Sendable, CaseIterable { case auto, chatml, llama3, mistral, plain }
    }

    public struct Sampling: Sendable, Equatable {
        public var maxTokens = 128
        public var temperature = 1.0
        public var topP = 1.0
        /// 0: no limit.
        public var topK = 0
        public init() {}
    }

    public struct Objective: Sendable, Equatable {
        public var kind = Kind.distillation
        public var loss = Loss.importanceSampling
        public var advantage = Advantage.behaviour
        public var baseline = Baseline.none
        public var klCoefficient = 1.0
        public var klDiscount = 0.0
        /// The ratio is clipped to `1 - clipLow ... 1 + clipHigh` (`ppo_clip`).
        public var clipLow = 0.2
        public var clipHigh = 0.2
        /// The ratio is capped at this value (`truncated_importance_sampling`).
        public var truncation = 2.0
        /// Multiplies the group-relative reward.
        public var rewardCoefficient = 1.0
        public var rewardScale = RewardScale.none
        public init() {}

        public enum RewardScale: String, Sendable, CaseIterable { case none, deviation }

        /// What the student learns from.
        public enum Kind: String, Sendable, CaseIterable {
            /// Teachers' grades of its own responses.
            case distillation
            /// Verifiers' rewards of its own responses.
            case reinforcement
            /// Both.
            case mixed
            /// Teachers' responses, which it imitates.
            case offPolicy = "off_policy"
            /// Given responses, which it imitates.
            case supervised

            /// Whether teachers take part.
            public var usesTeachers: Bool { teachersGrade || teachersSample }
            /// Whether teachers grade what the student samples.
            public var teachersGrade: Bool { self == .distillation || self == .mixed }
            /// Whether teachers sample what the student imitates.
            public var teachersSample: Bool { self == .offPolicy }
            /// Whether verifiers' rewards are trained on.
            public var usesReward: Bool { self == .reinforcement || self == .mixed }
            /// Whether held-out prompts are answered in the learner's process: no worker has the student.
            public var evaluatesInLearner: Bool { teachersSample || !samples }
            /// Whether responses are sampled, so that workers are needed.
            public var samples: Bool { self != .supervised }
        }

        public enum Baseline: String, Sendable, CaseIterable {
            case none
            case batchMean = "batch_mean"
            case leastVariance = "least_variance"
        }

        public enum Loss: String, Sendable, CaseIterable {
            case importanceSampling = "importance_sampling"
            case ppoClip = "ppo_clip"
            case truncatedImportanceSampling = "truncated_importance_sampling"
        }
        public enum Advantage: String, Sendable, CaseIterable { case behaviour, current }
    }

    public struct Training: Sendable, Equatable {
        public var steps = 100
        public var learningRate = 1e-4
        /// Where `linear` and `cosine` schedules end.
        public var minLearningRate = 0.0
        public var warmupSteps = 0
        public var schedule = Schedule.constant
        public var beta1 = 0.9
        public var beta2 = 0.95
        public var epsilon = 1e-8
        public var weightDecay = 0.0
        /// 0: no clipping.
        public var clipGradNorm = 1.0
        /// Tokens of one forward and backward pass; a batch of more is accumulated over several.
        public var tokenBudget = 1024
        /// What becomes of a step that would spoil the student.
        public var onBadStep = BadStep.skip
        /// Bad steps in a row after which the run stops.
        public var badStepsInARow = 3
        /// Largest mean divergence of a batch that is trained on, in nats a token; 0: any.
        public var klLimit = 0.0
        /// Share of a batch's responses that may be empty.
        public var emptyLimit = 0.9
        public init() {}

        public enum BadStep: String, Sendable, CaseIterable { case skip, stop }

        public enum Schedule: String, Sendable, CaseIterable { case constant, linear, cosine }
    }

    public struct Pipeline: Sendable, Equatable {
        /// How many versions behind the learner a sample's weights may be when it is trained on.
        public var maxStaleness = 0
        /// Processes that `opd run` starts.
        public var workers = 1
        public var scorers = 1
        /// Where the learner binds; `*` as the port picks a free one.
        public var endpoint = "tcp://127.0.0.1:*"
        /// How long a process waits for the learner before it gives up.
        public var connectTimeoutSeconds = 60.0
        public var leaseSeconds = 60.0
        public var heartbeatSeconds = 2.0
        /// Sequences that a rollout worker samples at once.
        public var slots = 64
        /// Compute threads a process; 0: as many as there are cores.
        public var threads = 0
        /// Permits an endpoint beyond loopback without encryption.
        public var allowPlaintext = false
        public init() {}
    }

    /// Files of keys. Any of them: everything is encrypted, and only known keys are let in.
    public struct Security: Sendable, Equatable {
        /// Secret key of the learner.
        public var learnerKey = ""
        /// Public keys that may join as rollout workers, and as scorers.
        public var rolloutClients = ""
        public var scorerClients = ""
        /// The learner's public key, for those that connect to it.
        public var learnerPublicKey = ""
        /// Secret keys of rollout workers and of scorers.
        public var rolloutKey = ""
        public var scorerKey = ""
        public init() {}
    }

    public struct Evaluation: Sendable, Equatable {
        /// Steps between evaluations; 0: none.
        public var every = 10
        /// Held-out pass@1 at which the run ends; 0: none.
        public var stopAtPassRate = 0.0
        /// Held-out divergence at which the run ends, in nats a token; 0: none.
        public var stopAtKL = 0.0
        /// Whether the teachers answer the held-out prompts too, before the run.
        public var teachers = false
        public init() {}
    }

    public struct Checkpoint: Sendable, Equatable {
        /// Steps between checkpoints; 0: only at the end and when interrupted.
        public var every = 10
        public var keepLast = 3
        /// Steps between checkpoints that are kept for ever; 0: none.
        public var keepEvery = 0
        public init() {}
    }

    /// The label of the teacher of a prompt which names none: `default`, or the only one there is.
    public var defaultTeacher: String? {
        teachers["default"] != nil ? "default" : (teachers.count == 1 ? teachers.keys.first : nil)
    }

    /// The teachers that take part: none where the objective has no use for them.
    public var usedTeachers: [String: Model] { objective.kind.usesTeachers ? teachers : [:] }

    /// Trajectories of one optimizer step.
    public var rolloutsPerStep: Int { data.promptsPerStep * data.samplesPerPrompt }
}
