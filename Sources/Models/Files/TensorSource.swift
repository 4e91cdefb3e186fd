import Files

/// Where a model's tensors come from, under their Hugging Face names.
protocol TensorSource: Sendable {
    /// The names of all tensors, in the order of the files.
    var names: [String] { get }
    /// "F32", "BF16", "Q4_1": the type of most of the weights.
    var storedType: String { get }
    /// Bytes on disk.
    var byteCount: Int { get }
    func shape(of name: String) -> [Int]?
    /// The type of one tensor, for listings.
    func type(of name: String) -> String?
    /// Reads as f32; `destination` has room for exactly the tensor's values.
    func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws
}

/// No weights at all: of a folder that only tells how a model reads text.
struct NoTensors: TensorSource {
    var names: [String] { [] }
    var storedType: String { "none" }
    var byteCount: Int { 0 }
    func shape(of name: String) -> [Int]? { nil }
    func type(of name: String) -> String? { nil }
    func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws {
        throw ModelError(.tensor, "no tensor '\(name)': this folder has no weights")
    }
}

/// The type that holds the most values.
func commonType(_ tensors: some Sequence<(type: String, count: Int)>) -> String {
    var counts: [String: Int] = [:]
    for tensor in tensors { counts[tensor.type, default: 0] += tensor.count }
    return counts.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key ?? "none"
}
