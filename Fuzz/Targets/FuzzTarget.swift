/// One reader of foreign bytes, as libFuzzer calls it: any bytes in, no crash, no hang, no memory out of proportion,
/// and what was accepted keeps its promises.
package struct FuzzTarget: Sendable {
    package let name: String
    /// Reads an input. It throws ``BrokenPromise`` only: a reader may refuse what it likes.
    package let run: @Sendable ([UInt8]) throws -> Void

    package static let all = [
        wire, exchange, gguf, ggufParts, safetensors, tokenizer, text, retokenize, json, modelConfiguration,
        runConfiguration, prompts, table, template, checkpoint, server, torch, run, request, difference, program,
        hosts, copy, store, term,
    ]
}

/// What a reader accepted is not what it promised to accept.
package struct BrokenPromise: Error, CustomStringConvertible {
    package let description: String

    init(_ promise: String) { description = "broken promise: \(promise)" }
}
