import Configuration
import Foundation
import JSON
import Models
import Tokenizers

extension FuzzTarget {
    /// config.json and, after a NUL, generation_config.json.
    static let modelConfiguration = FuzzTarget(name: "config") { bytes in
        let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false).map(Array.init)
        guard let json = try? JSONValue.parse(parts[0]) else { return }
        let generation = parts.count > 1 ? try? JSONValue.parse(parts[1]) : nil
        guard
            let configuration = try? ModelConfiguration(
                huggingFace: json, generation: generation, file: "folder/config.json")
        else { return }
        _ = configuration.parameterCount
        guard
            let again = try? ModelConfiguration(
                huggingFace: configuration.huggingFaceJSON(type: "float32"), generation: configuration.generationJSON,
                file: "written"), again == configuration
        else { throw BrokenPromise("a written configuration is read back") }
    }

    static let runConfiguration = FuzzTarget(name: "yaml") { bytes in
        guard let text = String(bytes: bytes, encoding: .utf8) else { return }
        guard let loaded = accepted({ try RunConfiguration.parse(text, source: "run.yaml", requiring: []) }) else {
            return
        }
        let written = loaded.configuration.yaml(markingDefaults: true)
        guard let again = try? RunConfiguration.parse(written, source: "written", requiring: []),
            again.configuration == loaded.configuration
        else { throw BrokenPromise("a written run configuration is read back") }
    }

    /// What a reader accepts, or nil once its refusal has been put into words.
    static func accepted<Value>(_ read: () throws -> Value) -> Value? {
        do {
            return try read()
        } catch {
            _ = "\(error)"
            return nil
        }
    }

    static let prompts = FuzzTarget(name: "prompts") { bytes in
        try read(bytes, as: "prompts.jsonl")
    }

    /// A table, with the project's names and with names of its own.
    static let table = FuzzTarget(name: "table") { bytes in
        try read(bytes, as: "prompts.csv")
        var fields = PromptFields()
        (fields.prompt, fields.answer) = ("question", "answer.text")
        try read(bytes, as: "prompts.csv", fields: fields)
        try read(bytes, as: "prompts.json", fields: fields)
        try read(bytes, as: "prompts.csv", contextFields: ["default": "answer", "math": "answer.text"])
    }

    private static func read(
        _ bytes: [UInt8], as name: String, fields: PromptFields = .init(), contextFields: [String: String] = [:]
    ) throws {
        guard
            let prompts = accepted({
                try PromptFile.parse(
                    Data(bytes), source: name, teachers: ["default", "math"], defaultTeacher: "default", fields: fields,
                    contextFields: contextFields)
            })
        else { return }
        guard
            prompts.allSatisfy({ prompt in
                contextFields[prompt.teacher ?? ""] == nil || prompt.contexts[prompt.teacher ?? ""]?.isEmpty == false
            })
        else {
            throw BrokenPromise("a teacher is shown what its field has")
        }
        guard prompts.allSatisfy({ !$0.messages.isEmpty && ["default", "math"].contains($0.teacher) }) else {
            throw BrokenPromise("every prompt has a message and a teacher")
        }
        // A verifier that a stranger wrote, on a text that a stranger wrote.
        if let judged = prompts.first(where: { $0.check != nil }), let check = judged.check {
            let verdict = check.verdict(on: judged.messages[0].content)
            guard (0...1).contains(verdict.reward) else { throw BrokenPromise("a reward is from 0 to 1") }
        }
    }
}
