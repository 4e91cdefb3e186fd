import Glibc

/// One reader of foreign bytes, as libFuzzer calls it: any bytes in, no crash, no hang, no memory out of proportion,
/// and what was accepted keeps its promises.
struct FuzzTarget: Sendable {
    let name: String
    let run: @Sendable ([UInt8]) -> Void

    static let all = [
        wire, exchange, gguf, safetensors, tokenizer, text, json, modelConfiguration, runConfiguration, prompts,
        template, checkpoint,
    ]

    /// The target that the environment names. One program holds all, as linking it is most of the work.
    static let chosen: FuzzTarget = {
        let name = getenv("OPD_FUZZ_TARGET").map { String(cString: $0) } ?? ""
        guard let target = all.first(where: { $0.name == name }) else {
            print("error: set OPD_FUZZ_TARGET to one of \(all.map(\.name).joined(separator: " "))")
            exit(2)
        }
        return target
    }()
}

/// Ends the process the way libFuzzer takes for a finding.
func broken(_ promise: String) -> Never { fatalError("broken promise: \(promise)") }

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
    FuzzTarget.chosen.run(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
}
