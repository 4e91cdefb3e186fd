/// The table of all keys: parsing, the resolved output and the reference in docs/ come from it.
package enum ConfigurationSchema {
    package static let keys: [ConfigurationKey] =
        [
            .text("name", \.name, .identifier, required: true, "names the run and its folder"),
            ConfigurationKey(
                path: "seed", kind: .integer(0...Int.max), required: false,
                summary: "seed of the prompt order and of sampling",
                read: { configuration, _ in .integer(Int(configuration.seed)) },
                write: { if case .integer(let value) = $2 { $0.seed = UInt64(value) } }),
            .text("run_folder", \.runFolder, .text, "where the run writes"),

            .text("student.model", \.student.model, .path(.student), "model that is trained; required without a shape"),
            .choice("student.dtype", \.student.dtype, "precision of weights and activations"),
            .choice("student.engine", \.student.engine, "who trains it: opd on CPUs, or torch on GPUs or CPUs"),
            .text("torch.python", \.torch.python, .text, "python with torch and transformers"),
            .integer(
                "torch.processes", \.torch.processes, 1...1_024, "processes that share the model, each with a GPU"),
            .choice("torch.device", \.torch.device, "what they compute on; auto: GPUs where there are any"),
            .choice("torch.dtype", \.torch.dtype, "precision of products; auto: student.dtype"),
            .flag(
                "torch.recompute", \.torch.recompute,
                "activations are computed again in the backward pass, which saves memory and costs time"),
            .choice("torch.attention", \.torch.attention, "transformers' implementation of attention"),
            .flag("torch.compile", \.torch.compile, "torch compiles every block when it is first used"),
            .number(
                "torch.cache", \.torch.cache, 0...0.95, above: true,
                "share of the memory left on its GPU that a sampler may have for what it has read"),
            .integer("shape.layers", \.shape.layers, 0...4096, "decoder layers; 0: no model is made"),
            .integer(
                "shape.hidden", \.shape.hidden, 2...1_048_576,
                "width of the residual stream; a multiple of 8 times the heads"),
            .integer("shape.heads", \.shape.heads, 1...4096, "attention heads"),
            .integer("shape.kv_heads", \.shape.keyValueHeads, 1...4096, "key and value heads; divides the heads"),
            .integer("shape.intermediate", \.shape.intermediate, 1...4_194_304, "width of the feed-forward layers"),
            .integer("shape.context", \.shape.context, 2...1_048_576, "longest sequence, in bytes"),
            .integer("shape.seed", \.shape.seed, 0...Int.max, "seed of the random weights"),
            .integer(
                "lora.rank", \.lora.rank, 0...65_536,
                "rank of the adapters that are trained instead of all weights; 0: none"),
            .number(
                "lora.alpha", \.lora.alpha, 0...1e6, above: true,
                "what the adapters add is multiplied by alpha / rank"),
            .names(
                "lora.targets", \.lora.targets, RunConfiguration.LoRA.targetNames,
                "projections that have adapters, in every layer"),
            .integer("lora.seed", \.lora.seed, 0...Int.max, "seed of the adapters' random beginning"),
            .teacher(
                "model", .path(.teachers), required: true,
                "model that grades, or is imitated; it reads the student's tokens"
            ) {
                .text($0.model)
            } write: {
                if case .text(let value) = $1 { $0.model = value }
            },
            .teacher(
                "dtype", .choice(RunConfiguration.DType.allCases.map(\.rawValue)), required: false,
                "precision of weights and activations"
            ) {
                .text($0.dtype.rawValue)
            } write: {
                if case .text(let value) = $1 { $0.dtype = .init(rawValue: value) ?? .bf16 }
            },
            .teacher(
                "token_map", .choice(RunConfiguration.TokenMap.allCases.map(\.rawValue)), required: false,
                "strict: its tokenizer is the student's; shared: it may have more tokens; bytes: it may be another"
            ) {
                .text($0.tokenMap.rawValue)
            } write: {
                if case .text(let value) = $1 { $0.tokenMap = .init(rawValue: value) ?? .strict }
            },
            .teacher(
                "engine", .choice(RunConfiguration.Engine.allCases.map(\.rawValue)), required: false,
                "who computes it: opd on CPUs, or torch on GPUs or CPUs"
            ) {
                .text($0.engine.rawValue)
            } write: {
                if case .text(let value) = $1 { $0.engine = .init(rawValue: value) ?? .native }
            },
        ] + teacherRoutingKeys + teacherPromptKeys + teacherServerKeys + [

            .file("data.prompts", \.data.prompts, .data, "file of training prompts; required without a task"),
            .file(
                "data.heldout", \.data.heldout, .data,
                "file of held-out prompts; without it those of the task, or no evaluation"
            ),
            .optionalText("data.fields.prompt", \.data.fields.prompt, "column with the user's message"),
            .optionalText("data.fields.messages", \.data.fields.messages, "column with a list of messages"),
            .optionalText("data.fields.system", \.data.fields.system, "column with a system message"),
            .optionalText("data.fields.tools", \.data.fields.tools, "column with a list of tools"),
            .optionalText("data.fields.answer", \.data.fields.answer, "column with a reference answer"),
            .optionalText("data.fields.verifier", \.data.fields.verifier, "column with what judges responses"),
            .optionalText("data.fields.response", \.data.fields.response, "column with a response to imitate"),
            .optionalText("data.fields.teacher", \.data.fields.teacher, "column with a teacher's label"),
            .optionalText("data.fields.tags", \.data.fields.tags, "column with a list of tags"),
            .choice(
                "data.overlong", \.data.overlong,
                "what becomes of prompts that leave no room for a response: an error, left out, or cut at the beginning"
            ),
            .optionalText(
                "data.task", \.data.task, "generated task instead of prompt files, such as arithmetic:digits=2"),
            .integer(
                "data.task_prompts", \.data.taskPrompts, 1...10_000_000,
                "different training problems of the task; a supervised run takes as many as it needs"),
            .integer("data.heldout_count", \.data.heldoutCount, 1...1_000_000, "held-out problems of the task"),
            .text(
                "data.template", \.data.template, .text,
                "chat template: auto, chatml, llama3, mistral, plain, or one of the student model's by name; auto: its own"
            ),
            .mapping(
                "data.template_arguments", \.data.templateArguments,
                "variables that the chat template is given, such as enable_thinking: false"),
            .optionalText(
                "data.system_prompt", \.data.systemPrompt, "system message of prompts that have none"),
            .optionalText(
                "data.date", \.data.date,
                "day that the chat template takes for today, such as 2024-07-26; without it the day on which the run starts, in UTC"
            ),
            .integer("data.prompts_per_step", \.data.promptsPerStep, 1...1_000_000, "prompts of one optimizer step"),
            .integer(
                "data.samples_per_prompt", \.data.samplesPerPrompt, 1...1_000_000,
                "trajectories sampled for each prompt"),
            .flag(
                "data.shuffle", \.data.shuffle,
                "each pass over the prompts has an order of its own, drawn from the seed"),
        ] + environmentKeys + [

            .integer(
                "sampling.max_tokens", \.sampling.maxTokens, 1...1_000_000,
                "longest response, in tokens; less where a prompt leaves less of the context"),
            .number(
                "sampling.temperature", \.sampling.temperature, 0...100, above: true,
                "divides the logits before sampling"),
            .number(
                "sampling.top_p", \.sampling.topP, 0...1, above: true,
                "smallest set of tokens with this probability; 1: all"),
            .integer("sampling.top_k", \.sampling.topK, 0...10_000_000, "this many most probable tokens; 0: all"),
            .texts("sampling.stop", \.sampling.stop, "texts that end a response, beside the model's own end tokens"),
            .integer(
                "sampling.min_tokens", \.sampling.minTokens, 0...1_000_000,
                "first tokens that end nothing: no end token is drawn for them, no text of sampling.stop counts"),
            .flag(
                "sampling.ignore_eos", \.sampling.ignoreEOS,
                "the model's end tokens end no response: only sampling.stop and sampling.max_tokens do"),
        ] + rolloutKeys + [

            .choice("objective.kind", \.objective.kind, "what the student learns from"),
            .choice(
                "objective.loss", \.objective.loss, "how the ratio of current to behaviour probability enters the loss"),
            .choice(
                "objective.advantage", \.objective.advantage,
                "which log-probability is compared with the teacher's: recorded while sampling, or of the weights being trained"
            ),
            .choice(
                "objective.baseline", \.objective.baseline,
                "what is subtracted from every advantage of a batch, to take noise out of the gradient: nothing, their mean, or the constant that takes out most"
            ),
            .number(
                "objective.kl_coefficient", \.objective.klCoefficient, 0...1e6, above: true, "multiplies the advantage"),
            .number(
                "objective.kl_discount", \.objective.klDiscount, 0...1,
                "how much of the following tokens' divergence a token answers for; 0: only its own"),
            .number(
                "objective.log_ratio_limit", \.objective.logRatioLimit, 0...1e6,
                "distillation, mixed: largest distance between student's and teacher's log-probability that a token's advantage has, in nats; 0: no limit"
            ),
            .number(
                "objective.teacher_mix", \.objective.teacherMix, 0...1, above: true,
                "distillation, mixed: the teacher's share in the mixture with the student that a token is compared with; 1: the teacher alone"
            ),
            .choice(
                "objective.divergence", \.objective.divergence,
                "distillation, mixed: what is compared at every token: the sampled one's probability, or whole distributions"
            ),
            .number(
                "objective.beta", \.objective.beta, 0...0.999, above: true,
                "jsd: the teacher's share in the mixture that both sides are compared with"),
            .number(
                "objective.skew", \.objective.skew, 0...0.999, above: true,
                "skew_kl: the teacher's share in the mixture that it is compared with; skew_reverse_kl: the student's"),
            .choice(
                "objective.support", \.objective.support,
                "the tokens that are compared each for itself: some, with the rest as one more class, or all"),
            .integer(
                "objective.top_k", \.objective.topK, 1...1_024, "support top_k: how many"),
            .choice(
                "objective.top_k_from", \.objective.topKFrom, "support top_k: whose most probable tokens they are"),
            .number(
                "objective.clip_low", \.objective.clipLow, 0...1, "ppo_clip: the ratio's lower limit is 1 - clip_low"),
            .number(
                "objective.clip_high", \.objective.clipHigh, 0...1e6,
                "ppo_clip: the ratio's upper limit is 1 + clip_high"),
            .number(
                "objective.truncation", \.objective.truncation, 1...1e6,
                "truncated_importance_sampling: the ratio's upper limit"),
            .number(
                "objective.reward_coefficient", \.objective.rewardCoefficient, 0...1e6, above: true,
                "reinforcement, mixed: multiplies the reward's part of the advantage"),
            .choice(
                "objective.reward_scale", \.objective.rewardScale,
                "reinforcement, mixed: what a reward's distance from the mean of its prompt is divided by: nothing, or their standard deviation"
            ),
            .number(
                "objective.cross_entropy_coefficient", \.objective.crossEntropyCoefficient, 0...1e6,
                "distillation, reinforcement, mixed: multiplies the cross-entropy of the responses that are given with a step's prompts; 0: they are not looked at"
            ),

            .integer("training.steps", \.training.steps, 1...1_000_000_000, "optimizer steps of the run"),
            .number("training.learning_rate", \.training.learningRate, 0...100, "after the warm-up"),
            .number(
                "training.min_learning_rate", \.training.minLearningRate, 0...100,
                "where linear and cosine schedules end"),
            .integer(
                "training.warmup_steps", \.training.warmupSteps, 0...1_000_000_000, "steps of linear rise from zero"),
            .choice("training.schedule", \.training.schedule, "learning rate after the warm-up"),
            .number("training.beta1", \.training.beta1, 0...0.999999, "AdamW: decay of the mean"),
            .number("training.beta2", \.training.beta2, 0...0.999999, "AdamW: decay of the mean square"),
            .number(
                "training.epsilon", \.training.epsilon, 0...1, above: true,
                "AdamW: added to the root of the mean square"),
            .number("training.weight_decay", \.training.weightDecay, 0...100, "AdamW: decoupled decay"),
            .number(
                "training.clip_grad_norm", \.training.clipGradNorm, 0...1e9, "largest global gradient norm; 0: no limit"
            ),
            .integer(
                "training.token_budget", \.training.tokenBudget, 1...100_000_000,
                "tokens of one forward and backward pass, which decides the memory it takes; gradients of a larger batch are accumulated"
            ),
            .choice(
                "training.on_bad_step", \.training.onBadStep,
                "what becomes of a step with numbers gone bad: its batch is given up, or the run stops"),
            .integer(
                "training.bad_steps_in_a_row", \.training.badStepsInARow, 1...1_000_000,
                "skipped steps in a row after which the run stops"),
            .number(
                "training.kl_limit", \.training.klLimit, 0...1e6,
                "largest mean divergence of a batch from its teacher, in nats a token; above, the step is bad; 0: no limit"
            ),
            .number(
                "training.empty_limit", \.training.emptyLimit, 0...1,
                "share of a batch's responses that may be empty, but for the stop token; above, the step is bad; 1: no limit"
            ),

            .integer(
                "pipeline.max_staleness", \.pipeline.maxStaleness, 0...1_000,
                "how many versions old a sample may be when trained on; 0: synchronous and reproducible"),
            .integer(
                "pipeline.workers", \.pipeline.workers, 0...1_000,
                "rollout workers that `opd run` starts; with off_policy for each teacher"),
            .integer(
                "pipeline.scorers", \.pipeline.scorers, 0...1_000, "scorers that `opd run` starts for each teacher"),
            .text("pipeline.endpoint", \.pipeline.endpoint, .text, "where the learner listens; port *: a free one"),
            .number(
                "pipeline.connect_timeout_s", \.pipeline.connectTimeoutSeconds, 0...86_400, above: true,
                "seconds a process waits for the learner before it gives up"),
            .number(
                "pipeline.lease_s", \.pipeline.leaseSeconds, 0.1...86_400,
                "seconds a process may hold work without renewing it"),
            .number("pipeline.heartbeat_s", \.pipeline.heartbeatSeconds, 0.05...3_600, "seconds between signs of life"),
            .number(
                "pipeline.standby_after_s", \.pipeline.standbyAfterSeconds, 0...3_600,
                "seconds of a learner's silence after which `opd learner --standby` takes the run over; 0: a run without"
            ),
            .integer("pipeline.slots", \.pipeline.slots, 1...65_536, "sequences that a rollout worker samples at once"),
            .integer("pipeline.threads", \.pipeline.threads, 0...1_024, "compute threads of a process; 0: one a core"),
            .choice(
                "pipeline.weight_differences", \.pipeline.weightDifferences,
                "auto: workers on other machines are sent what has changed in the weights, where that is less"),
            .choice(
                "pipeline.weight_swap", \.pipeline.weightSwap,
                "when a rollout worker takes new weights into use: beside sequences under way, or when they have ended"),
            .choice(
                "pipeline.swap_cache", \.pipeline.swapCache,
                "what new weights make of the keys and values of sequences under way"),
            .flag(
                "pipeline.allow_plaintext", \.pipeline.allowPlaintext,
                "permits an endpoint beyond loopback without encryption"),

            .file("security.learner_key", \.security.learnerKey, .learnerKeys, "secret key of the learner"),
            .file(
                "security.rollout_clients", \.security.rolloutClients, .learnerKeys,
                "list of public keys that may join as rollout workers"),
            .file(
                "security.scorer_clients", \.security.scorerClients, .learnerKeys,
                "list of public keys that may join as scorers"),
            .file(
                "security.learner_public_key", \.security.learnerPublicKey, .memberKeys,
                "public key of the learner: workers and scorers talk to nobody else"),
            .file(
                "security.rollout_key", \.security.rolloutKey, .rolloutKeys, "secret key of a rollout worker"),
            .file("security.scorer_key", \.security.scorerKey, .scorerKeys, "secret key of a scorer"),
            .file(
                "security.relay_clients", \.security.relayClients, .learnerKeys,
                "list of public keys of relays, through which workers and scorers may join"),
            .file("security.relay_key", \.security.relayKey, .relayKeys, "secret key of a relay"),
            .file(
                "security.relay_public_key", \.security.relayPublicKey, .relayedKeys,
                "public key of the relays that a process names with --relay"),

            .integer("evaluation.every", \.evaluation.every, 0...1_000_000_000, "steps between evaluations; 0: none"),
            .number(
                "evaluation.stop_at_pass_rate", \.evaluation.stopAtPassRate, 0...1,
                "share of held-out responses that pass at which the run ends; 0: none"),
            .number(
                "evaluation.stop_at_kl", \.evaluation.stopAtKL, 0...1e6,
                "held-out divergence in nats a token at which the run ends; 0: none"),
            .flag(
                "evaluation.teachers", \.evaluation.teachers,
                "the teachers answer the held-out prompts that have verifiers too, once, as the run starts"),
            .integer(
                "checkpoint.every", \.checkpoint.every, 0...1_000_000_000,
                "steps between checkpoints; 0: only at the end and when interrupted"),
            .integer(
                "checkpoint.keep_last", \.checkpoint.keepLast, 1...1_000_000,
                "newest checkpoints kept; older ones are deleted"),
            .integer(
                "checkpoint.keep_every", \.checkpoint.keepEvery, 0...1_000_000_000,
                "steps between checkpoints that are never deleted, written beside the others; 0: none"),
            .optionalText(
                "checkpoint.copy_to", \.checkpoint.copyTo,
                "second place of this run's checkpoints: a folder, file:///path, ssh://user@host/path or s3://bucket/prefix"
            ),
            .integer(
                "checkpoint.copy_wait_s", \.checkpoint.copyWait, 0...86_400,
                "seconds that a finished run waits for its last copy"),
        ] + telemetryKeys
}
