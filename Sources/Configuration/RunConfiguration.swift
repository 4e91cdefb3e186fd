import Distillation

/// Everything that defines a run: what a configuration file says, with defaults for what it leaves out.
///
/// Sections and keys are named as in the file (`training.learning_rate` is `training.learningRate`); ranges, defaults
/// and meanings are in ``ConfigurationSchema`` and docs/configuration.md.
package struct RunConfiguration: Sendable, Equatable {
    /// Names the run and, unless `run_folder` is given, its folder.
    package var name = ""
    /// Seed of every random choice of the run: prompt order and sampling.
    package var seed: UInt64 = 1
    /// Folder into which the run writes; `runs/<name>` unless given.
    package var runFolder = ""
    package var student = Model()
    /// How torch computes, where it does.
    package var torch = Torch()
    /// The shape of a model that is made from scratch, instead of `student.model`.
    package var shape = Shape()
    /// Adapters that are trained instead of all weights.
    package var lora = LoRA()
    /// Teachers by label; a prompt names its teacher with its `teacher` field.
    package var teachers: [String: Model] = [:]
    package var data = Data()
    package var sampling = Sampling()
    /// Who samples the student's responses.
    package var rollout = Rollout()
    package var objective = Method()
    package var training = Training()
    package var pipeline = Pipeline()
    package var security = Security()
    package var evaluation = Evaluation()
    package var checkpoint = Checkpoint()
    package var telemetry = Telemetry()

    package init() {}

    /// What the student is asked.
    package struct Data: Sendable, Equatable {
        /// File of training prompts; nil: those of the task.
        package var prompts: String?
        /// File of held-out prompts; nil: those of the task, or no evaluation.
        package var heldout: String?
        /// The files' own names of what a prompt is read from.
        package var fields = PromptFields()
        /// What becomes of prompts that leave no room for a response.
        package var overlong = Overlong.drop
        /// A generated task instead of `prompts`.
        package var task: String?
        /// Different training problems of the task that are asked; supervised runs take as many as they need.
        package var taskPrompts = 4096
        /// Held-out problems of the task.
        package var heldoutCount = 128
        /// `auto` or the name of a chat template.
        package var template = "auto"
        /// Variables for the template: a mapping in JSON, nil without any.
        package var templateArguments: String?
        /// The system message of prompts that have none; nil: no message.
        package var systemPrompt: String?
        /// The day that templates take for today, such as 2024-07-26; nil: that very day.
        package var date: String?
        package var promptsPerStep = 8
        package var samplesPerPrompt = 4
        /// Whether each pass over the prompts has an order of its own, drawn from the seed.
        package var shuffle = true
        package var environment = Environment()
        package init() {}

        package enum Overlong: String, Sendable, CaseIterable { case refuse, drop, truncate }
    }

    /// How responses are drawn.
    package struct Sampling: Sendable, Equatable {
        package var maxTokens = 128
        package var temperature = 1.0
        package var topP = 1.0
        /// 0: no limit.
        package var topK = 0
        /// Texts that end a response.
        package var stop: [String] = []
        /// Tokens before which nothing ends a response.
        package var minTokens = 0
        /// Whether the model's own ends are tokens as all others.
        package var ignoreEOS = false
        package init() {}

        /// What a sampler is told: the section's values and the ids that end a response.
        package func settings(stopTokenIDs: [Int32]) -> SamplingSettings {
            SamplingSettings(
                maxTokens: maxTokens, temperature: Float(temperature), topP: Float(topP), topK: topK,
                stopTokenIDs: ignoreEOS ? [] : stopTokenIDs, stop: stop, minTokens: minTokens)
        }
    }

    /// The method: its kind by name, and parameters, of which each method reads its own.
    package struct Method: Sendable, Equatable {
        package var kind = ObjectiveKind.distillation
        package var loss = LossKind.importanceSampling
        package var advantage = AdvantageKind.behaviour
        package var baseline = BaselineKind.none
        package var klCoefficient = 1.0
        package var klDiscount = 0.0
        /// Largest |b - t| in the advantage, in nats; 0: none.
        package var logRatioLimit = 0.0
        /// Share of the teacher in what the student is compared with; 1: the teacher alone.
        package var teacherMix = 1.0
        /// What is compared of the distributions of student and teacher.
        package var divergence = DivergenceKind.sampled
        /// The teacher's share in the mixture of `jsd`.
        package var beta = 0.5
        /// The other side's share in the mixture of `skew_kl` and `skew_reverse_kl`.
        package var skew = 0.1
        package var support = Support.topK
        /// Tokens that are compared each for itself.
        package var topK = 64
        package var topKFrom = TopKFrom.teacher
        /// The ratio is clipped to `1 - clipLow ... 1 + clipHigh` (`ppo_clip`).
        package var clipLow = 0.2
        package var clipHigh = 0.2
        /// The ratio is capped at this value (`truncated_importance_sampling`).
        package var truncation = 2.0
        /// Multiplies the group-relative reward.
        package var rewardCoefficient = 1.0
        package var rewardScale = RewardScale.none
        /// Multiplies the cross-entropy of given responses.
        package var crossEntropyCoefficient = 0.0
        package init() {}

        /// Over which tokens a divergence is taken.
        package enum Support: String, Sendable, CaseIterable {
            case full
            case topK = "top_k"
        }

        /// The one whose most probable tokens are compared each for itself.
        package enum TopKFrom: String, Sendable, CaseIterable { case teacher, student, union }
    }

    /// How a step changes the student, and how many there are.
    package struct Training: Sendable, Equatable {
        package var steps = 100
        package var learningRate = 1e-4
        /// The rate with which `linear` and `cosine` schedules end.
        package var minLearningRate = 0.0
        package var warmupSteps = 0
        package var schedule = LearningRateSchedule.Shape.constant
        package var beta1 = 0.9
        package var beta2 = 0.95
        package var epsilon = 1e-8
        package var weightDecay = 0.0
        /// 0: no clipping.
        package var clipGradNorm = 1.0
        /// Tokens of one forward and backward pass; a batch of more is accumulated over several.
        package var tokenBudget = 1024
        /// What becomes of a step that would spoil the student.
        package var onBadStep = StepGuard.Reaction.skip
        /// Bad steps in a row after which the run stops.
        package var badStepsInARow = 3
        /// Largest mean divergence of a batch that is trained on, in nats a token; 0: any.
        package var klLimit = 0.0
        /// Share of a batch's responses that may be empty.
        package var emptyLimit = 0.9
        package init() {}
    }

    /// The processes of the run, and how they meet.
    package struct Pipeline: Sendable, Equatable {
        /// How many versions behind the learner a sample's weights may be when it is trained on.
        package var maxStaleness = 0
        /// Processes that `opd run` starts.
        package var workers = 1
        package var scorers = 1
        /// Address at which the learner listens; `*` as the port picks a free one.
        package var endpoint = "tcp://127.0.0.1:*"
        /// How long a process waits for the learner before it gives up.
        package var connectTimeoutSeconds = 60.0
        package var leaseSeconds = 60.0
        package var heartbeatSeconds = 2.0
        /// Silence of a learner after which a standby takes the run over; 0: a run without standby.
        package var standbyAfterSeconds = 0.0
        /// Sequences that a rollout worker samples at once.
        package var slots = 64
        /// Compute threads a process; 0: as many as there are cores.
        package var threads = 0
        /// Whether workers on other machines are sent what has changed in the weights, where that is less.
        package var weightDifferences = WeightDifferences.auto
        /// When a rollout worker takes new weights into use.
        package var weightSwap = WeightSwap.betweenTokens
        /// What new weights make of the caches of sequences under way.
        package var swapCache = SwapCache.keep
        /// Permits an endpoint beyond loopback without encryption.
        package var allowPlaintext = false

        package enum WeightDifferences: String, Sendable, CaseIterable { case auto, off }

        package enum WeightSwap: String, Sendable, CaseIterable {
            case betweenTokens = "between_tokens"
            case betweenSequences = "between_sequences"
        }

        package enum SwapCache: String, Sendable, CaseIterable { case keep, recompute }

        package init() {}
    }

    /// Files of keys. With any of them everything is encrypted, and only known keys are let in.
    package struct Security: Sendable, Equatable {
        /// Secret key of the learner.
        package var learnerKey: String?
        /// Public keys that may join as rollout workers, and as scorers.
        package var rolloutClients: String?
        package var scorerClients: String?
        /// The learner's public key, for those that connect to it.
        package var learnerPublicKey: String?
        /// Secret keys of rollout workers and of scorers.
        package var rolloutKey: String?
        package var scorerKey: String?
        /// Public keys of relays, through which workers and scorers may join.
        package var relayClients: String?
        /// Secret key of a relay, which it listens and connects with.
        package var relayKey: String?
        /// The public key of the relays that a process goes through.
        package var relayPublicKey: String?
        package init() {}
    }

    /// When the student is evaluated, and with which result the run ends.
    package struct Evaluation: Sendable, Equatable {
        /// Steps between evaluations; 0: none.
        package var every = 10
        /// Held-out pass@1 at which the run ends; 0: none.
        package var stopAtPassRate = 0.0
        /// Held-out divergence at which the run ends, in nats a token; 0: none.
        package var stopAtKL = 0.0
        /// Whether the teachers answer the held-out prompts too, before the run.
        package var teachers = false
        package init() {}
    }

    /// When checkpoints are written, and how long they are kept.
    package struct Checkpoint: Sendable, Equatable {
        /// Steps between checkpoints; 0: only at the end and when interrupted.
        package var every = 10
        package var keepLast = 3
        /// Steps between checkpoints that are kept for ever; 0: none.
        package var keepEvery = 0
        /// The second place that checkpoints are copied to: a folder or a URL; nil: none.
        package var copyTo: String?
        /// Seconds that a finished run waits for its last copy.
        package var copyWait = 600
        package init() {}
    }

    /// The label of the teacher of a prompt which names none: `default`, or the only one there is.
    package var defaultTeacher: String? {
        teachers["default"] != nil ? "default" : (teachers.count == 1 ? teachers.keys.first : nil)
    }

    /// Who does what in this run.
    package var kind: RunKind { objective.kind.run }

    /// The teachers that take part: none where the objective has no use for them.
    package var usedTeachers: [String: Model] { kind.hasTeachers ? teachers : [:] }

    /// Trajectories of one optimizer step.
    package var rolloutsPerStep: Int { data.promptsPerStep * data.samplesPerPrompt }
}
