extension Family {
    /// Every family that this engine runs. GGUF files whose architecture several share open as the first of these.
    package static let all: [Family] = [
        .llama, .mistral, .qwen2, .qwen3, .qwen3MoE, .gemma2, .gemma3, .phi3, .olmo2, .granite, .smolLM3,
    ]

    /// The family of a config.json's `model_type`, nil when there is none of that name.
    package static func named(_ modelType: String) -> Family? { all.first { $0.name == modelType } }

    /// The family of a GGUF file's `general.architecture`, nil when none is written so.
    package static func gguf(_ architecture: String) -> Family? { all.first { $0.gguf.architecture == architecture } }

    /// The names of all families, "llama, mistral, qwen2, qwen3", for messages.
    package static var list: String { all.map(\.name).joined(separator: ", ") }

    /// The architectures of GGUF files, "llama (with Mistral), qwen2 and qwen3", for messages.
    package static var ggufList: String {
        let architectures = all.filter { gguf($0.gguf.architecture) == $0 }.map { first in
            let others = all.filter { $0 != first && $0.gguf.architecture == first.gguf.architecture }.map(\.title)
            return first.gguf.architecture + (others.isEmpty ? "" : " (with \(others.joined(separator: ", ")))")
        }
        return architectures.dropLast().joined(separator: ", ") + " and " + (architectures.last ?? "")
    }
}
