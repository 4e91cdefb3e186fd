import Randomness

/// Adapters as files and snapshots have them, of whatever family the model is: how strong they are, and where A and B of
/// each matrix lie in one f32 buffer.
package struct AdapterPlaces: Sendable {
    /// A matrix that has adapters.
    package struct Matrix: Sendable, Equatable {
        /// Its name without `.weight`.
        package var stem: String
        package var outputs: Int
        package var inputs: Int

        package init(stem: String, outputs: Int, inputs: Int) {
            self.stem = stem
            self.outputs = outputs
            self.inputs = inputs
        }
    }

    /// Rows of A and columns of B.
    package let rank: Int
    package let alpha: Float
    /// The last parts of the matrices' names, by which peft finds these.
    package let targets: [String]
    /// `….lora_A.weight` [rank, inputs] and `….lora_B.weight` [outputs, rank] of each matrix.
    package let parameters: ParameterLayout

    /// - Parameter targets: in the order of their first matrices where it is not given.
    package init(_ matrices: [Matrix], rank: Int, alpha: Float, targets: [String]? = nil) {
        self.rank = rank
        self.alpha = alpha
        var names: [String] = []
        for matrix in matrices {
            let name = matrix.stem.split(separator: ".").last.map(String.init) ?? matrix.stem
            if !names.contains(name) { names.append(name) }
        }
        self.targets = targets ?? names
        parameters = ParameterLayout(
            matrices.flatMap { matrix -> [ParameterSpec] in
                let (a, b) = AdapterLayout.names(adapting: matrix.stem)
                return [
                    ParameterSpec(name: a, shape: [rank, matrix.inputs], initialization: .uniform),
                    ParameterSpec(name: b, shape: [matrix.outputs, rank], initialization: .zeros),
                ]
            }, matrixType: .f32)
    }

    /// What B A is multiplied by.
    package var scale: Float { alpha / Float(rank) }

    /// Writes values to begin with, which change nothing: B is zero, A uniform in ±1 / sqrt(inputs). Equal seeds give
    /// equal values on every machine.
    /// - Parameter memory: `parameters.byteCount` bytes.
    package func initialize(_ memory: UnsafeMutableRawBufferPointer, seed: UInt64) {
        precondition(memory.count == parameters.byteCount, "the adapters' memory has another size")
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        for (index, entry) in parameters.entries.enumerated() {
            var random = SplitMix64(seed: seed, stream: UInt64(index))
            let place = UnsafeMutableRawBufferPointer(rebasing: memory[entry.byteRange])
            // Neither beginning depends on how many layers there are.
            entry.spec.initialization.fill(
                place.assumingMemoryBound(to: Float.self), inputs: entry.columns, layers: 1, random: &random)
        }
    }

    /// One bit for each of the targets that a family here can have; none where another family names them.
    var targetBits: UInt32 {
        AdapterShape.Target.allCases.enumerated().reduce(0) { bits, target in
            targets.contains(target.element.rawValue) ? bits | 1 << target.offset : bits
        }
    }
}
