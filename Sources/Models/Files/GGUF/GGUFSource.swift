/// The weights of a GGUF file under Hugging Face names, in Hugging Face row order.
struct GGUFSource: TensorSource {
    private let file: GGUFFile
    private let index: [String: Place]
    let names: [String]
    let storedType: String
    let byteCount: Int

    /// Where a tensor is, and which of its rows the converter reordered.
    private struct Place {
        let position: Int
        /// Heads of rows that the converter interleaved; nil where it kept the order.
        let interleavedHeads: Int?
        /// What the converter added to every value.
        let offset: Float
        /// Which expert's part of a tensor of all of them it is; nil: all of the tensor.
        var expert: (index: Int, count: Int)?
    }

    /// Tensors that are read with the configuration.
    private static let ofConfiguration: Set = [
        "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight",
    ]

    init(_ file: GGUFFile, configuration: ModelConfiguration) throws {
        let family = configuration.family
        let table = GGUFNames(family.schema)
        var index: [String: Place] = [:]
        var names: [String] = []
        let parameters = Set(configuration.parameters.map(\.name))
        for (position, tensor) in file.tensors.enumerated() where !Self.ofConfiguration.contains(tensor.name) {
            guard let (name, module) = table.find(tensor.name),
                parameters.contains(name) || parameters.contains(name.ofExpert(0))
            else {
                throw ModelError(
                    .unsupported, "\(file.path): tensor '\(tensor.name)' is not one of a \(family.name) model")
            }
            let heads = family.gguf.interleavesRotaryRows ? module.rotaryHeads.map(configuration.size) : nil
            if name.contains("*") {
                let count = configuration.size(.experts)
                guard tensor.shape.count == 3, tensor.shape[0] == count else {
                    throw ModelError(
                        .tensor,
                        "\(file.path): tensor '\(tensor.name)' has shape \(tensor.shape), not \(count) matrices")
                }
                for expert in 0..<count {
                    index[name.ofExpert(expert)] = Place(
                        position: position, interleavedHeads: nil, offset: 0, expert: (expert, count))
                    names.append(name.ofExpert(expert))
                }
                continue
            }
            let isNorm = module.shape.count == 1 && name.hasSuffix(".weight")
            index[name] = Place(
                position: position, interleavedHeads: heads, offset: isNorm ? family.schema.normOffset : 0)
            names.append(name)
        }
        self.file = file
        self.index = index
        self.names = names
        storedType = commonType(file.tensors.map { ($0.type.description, $0.count) })
        byteCount = file.tensors.reduce(0) { $0 + $1.range.count }
    }

    private func tensor(_ name: String) -> GGUFTensor? { index[name].map { file.tensors[$0.position] } }

    func shape(of name: String) -> [Int]? {
        guard let shape = tensor(name)?.shape else { return nil }
        return index[name]?.expert == nil ? shape : Array(shape.dropFirst())
    }
    func type(of name: String) -> String? { tensor(name)?.type.description }

    func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws {
        guard let tensor = tensor(name) else { throw ModelError(.tensor, "\(file.path): no tensor '\(name)'") }
        file.withBytes(of: tensor) { bytes in
            if let expert = index[name]?.expert {
                let size = bytes.count / expert.count
                let part = bytes[expert.index * size..<(expert.index + 1) * size]
                return tensor.type.dequantize(UnsafeRawBufferPointer(rebasing: part), into: destination)
            }
            guard let heads = index[name]?.interleavedHeads, !destination.isEmpty, tensor.shape[0] % (2 * heads) == 0
            else {
                tensor.type.dequantize(bytes, into: destination)
                if let offset = index[name]?.offset, offset != 0 {
                    for index in destination.indices { destination[index] -= offset }
                }
                return
            }
            let rows = tensor.shape[0]
            if tensor.shape.count == 1 {
                // A bias: values take the place of rows.
                var values = [Float](repeating: 0, count: rows)
                values.withUnsafeMutableBufferPointer { tensor.type.dequantize(bytes, into: $0) }
                for row in 0..<rows { destination[Self.deinterleaved(row, rows: rows, heads: heads)] = values[row] }
                return
            }
            let width = destination.count / rows
            let rowByteCount = bytes.count / rows
            for row in 0..<rows {
                let target = Self.deinterleaved(row, rows: rows, heads: heads)
                tensor.type.dequantize(
                    UnsafeRawBufferPointer(rebasing: bytes[row * rowByteCount..<(row + 1) * rowByteCount]),
                    into: UnsafeMutableBufferPointer(rebasing: destination[target * width..<(target + 1) * width]))
            }
        }
    }

    /// Where a row of the file belongs: in a head of D rows the file has (2j + p) where Hugging Face has (p D/2 + j).
    static func deinterleaved(_ row: Int, rows: Int, heads: Int) -> Int {
        let dimension = rows / heads
        let (head, within) = row.quotientAndRemainder(dividingBy: dimension)
        return head * dimension + within % 2 * (dimension / 2) + within / 2
    }
}
