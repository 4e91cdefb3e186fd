import Foundation
import JSON
import Models
import TestSupport

/// Random models that are small enough for whole runs in tests, with the tokenizer of the fixtures.
enum TinyModel {
    static let golden =
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path + "/Fixtures/golden"

    static let chatML =
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' "
        + "+ '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

    /// Writes a model folder; equal seeds give equal weights.
    /// - Parameter isBroken: whether a weight of it is not a number.
    static func write(
        to folder: String, seed: UInt64, layers: Int = 2, tokenizer: String = "bpe-qwen", maxPositions: Int = 256,
        isBroken: Bool = false
    ) throws {
        let configuration = ModelConfiguration(
            family: .llama, vocabularySize: 704, hiddenSize: 32, intermediateSize: 64, layerCount: layers, headCount: 4,
            keyValueHeadCount: 2, headDimension: 8, maxPositions: maxPositions, tiedEmbeddings: true, eosTokenIDs: [2])
        var random = SeededRandom(seed: seed)
        var buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: 1)
        defer { buffer.deallocate() }
        try ModelWriter.write(to: folder, configuration: configuration, type: .f32) { parameter in
            let isNorm = parameter.name.hasSuffix("norm.weight")
            // The writer is done with a buffer when it asks for the next.
            buffer.deallocate()
            buffer = .allocate(capacity: parameter.count)
            for index in 0..<parameter.count { buffer[index] = isNorm ? 1 : random.nextWeight() }
            if isNorm, isBroken { buffer[0] = .nan }
            return UnsafeBufferPointer(buffer)
        }
        try FileManager.default.copyItem(
            atPath: "\(golden)/\(tokenizer).tokenizer.json", toPath: "\(folder)/tokenizer.json")
        let settings = ["chat_template": chatML, "eos_token": "<|im_end|>"]
        try JSONSerialization.data(withJSONObject: settings).write(to: URL(filePath: "\(folder)/tokenizer_config.json"))
    }

    /// A run of tiny models in `folder`: files, and a configuration named run.yaml.
    static func writeRun(in folder: String, name: String = "tiny", steps: Int = 4) throws {
        try write(to: "\(folder)/teacher", seed: 1)
        try write(to: "\(folder)/student", seed: 2)
        let prompts = ["Name a river.", "What is two plus two?", "Why is the sky blue?", "Write a line.", "Say hello."]
        try prompts.map { "{\"prompt\": \"\($0)\"}\n" }.joined().write(
            toFile: "\(folder)/prompts.jsonl", atomically: true, encoding: .utf8)
        try "{\"prompt\": \"Name a lake.\"}\n{\"prompt\": \"Count to three.\"}\n".write(
            toFile: "\(folder)/heldout.jsonl", atomically: true, encoding: .utf8)
        try """
        name: \(name)
        student: { model: student, dtype: f32 }
        teachers: { default: { model: teacher, dtype: f32 } }
        data: { prompts: prompts.jsonl, heldout: heldout.jsonl, prompts_per_step: 2, samples_per_prompt: 2 }
        sampling: { max_tokens: 12 }
        training: { steps: \(steps), learning_rate: 1.0e-2 }
        pipeline: { threads: 1, lease_s: 10, heartbeat_s: 0.2 }
        evaluation: { every: 2 }
        checkpoint: { every: 2, keep_last: 2 }
        """.write(toFile: "\(folder)/run.yaml", atomically: true, encoding: .utf8)
    }
}

extension SeededRandom {
    /// Uniform in -0.2 ..< 0.2.
    mutating func nextWeight() -> Float { (Float(next() >> 40) / Float(1 << 24) - 0.5) * 0.4 }
}
