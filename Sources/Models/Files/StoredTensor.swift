/// Where a tensor of a folder stands: in a tensor of a shard, or in a part of one.
struct StoredTensor {
    var shard: Int
    /// The name of the tensor in the shard.
    var name: String
    /// The first of its values there.
    var offset = 0
    var shape: [Int]

    /// Twice the most experts of any model there is.
    private static let mostExperts = 1 << 12

    /// This tensor under its name; of an array of all experts' matrices each matrix under the name that it has where
    /// every expert's stand alone.
    ///
    /// transformers 5 holds the experts of a layer in `gate_up_proj` [experts, 2 x width, hidden], gates above ups, and
    /// `down_proj` [experts, hidden, width], and writes them so with `save_original_format=False`.
    func matrices(of name: String) -> [(name: String, tensor: StoredTensor)] {
        let end = ".mlp.experts."
        guard let part = ["gate_up_proj", "down_proj"].first(where: { name.hasSuffix(end + $0) }), shape.count == 3,
            (1...Self.mostExperts).contains(shape[0]), !shape.contains(0), part == "down_proj" || shape[1] % 2 == 0
        else { return [(name, self)] }
        let prefix = name.dropLast(part.utf8.count)
        let parts = part == "down_proj" ? ["down_proj"] : ["gate_proj", "up_proj"]
        let rows = shape[1] / parts.count
        return (0..<shape[0]).flatMap { expert in
            parts.enumerated().map { place, part in
                let matrix = StoredTensor(
                    shard: shard, name: self.name, offset: (expert * parts.count + place) * rows * shape[2],
                    shape: [rows, shape[2]])
                return ("\(prefix)\(expert).\(part).weight", matrix)
            }
        }
    }
}
