extension RunConfiguration {
    /// Element type of weights and activations; log-probabilities and the optimizer are always f32.
    package enum DType: String, Sendable, CaseIterable { case bf16, f32 }

    /// A model and the precision it is run in.
    package struct Model: Sendable, Equatable {
        /// Hugging Face folder, GGUF file, or folder with one GGUF.
        package var model = ""
        package var dtype = DType.bf16
        /// Folder of the tokenizer of a teacher whose files are elsewhere.
        package var tokenizer: String?
        /// How much of the student's tokenizer a teacher's must have; of a student it has no meaning.
        package var tokenMap = TokenMap.strict
        /// Tags of the prompts that a teacher takes where they name none.
        package var tags: [String] = []
        /// What a teacher counts beside others that grade the same prompt.
        package var weight = 1.0
        /// What only a teacher is told, in the system message of its prompts; nil: nothing.
        package var system: String?
        /// The field of prompt files that only a teacher is shown; nil: none.
        package var contextField: String?
        /// Steps after which a teacher takes the student's weights; 0: it never does.
        package var refreshEvery = 0
        /// What a teacher that is an average of the student's weights keeps of itself in a step; 0: it is none.
        package var emaDecay = 0.0
        /// The servers that have it; none: this program computes it.
        package var server = Server()
        /// Who trains it; who grades or samples with a teacher.
        package var engine = Engine.native
        package init() {}
    }

    /// How much of the student's tokenizer a teacher's must have: all that turns text into ids and back; or every token
    /// that may stand in a response, with its id, and the same ids for the prompts; or nothing but bytes.
    package enum TokenMap: String, Sendable, CaseIterable { case strict, shared, bytes }

    /// Who computes a model.
    package enum Engine: String, Sendable, CaseIterable { case native, torch }

    /// The shape of a model from scratch.
    package struct Shape: Sendable, Equatable {
        /// 0: no model is made.
        package var layers = 0
        package var hidden = 128
        package var heads = 4
        package var keyValueHeads = 4
        package var intermediate = 384
        package var context = 256
        /// Seed of the random weights.
        package var seed = 1
        package init() {}
    }

    /// Low-rank adapters.
    package struct LoRA: Sendable, Equatable {
        /// 0: all weights are trained.
        package var rank = 0
        /// What the adapters add is multiplied by `alpha / rank`.
        package var alpha = 32.0
        /// Projections that have adapters; empty: all.
        package var targets: [String] = []
        /// Seed of the random values that the adapters begin with.
        package var seed = 1
        package init() {}

        /// Names that `targets` may have; the last two are those of models that fuse what the others have apart.
        package static let targetNames = [
            "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "gate_up_proj",
        ]
    }
}
