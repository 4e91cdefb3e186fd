/// A teacher's last hidden states at the tokens of a response: what its head multiplies, as it was computed.
package struct HiddenStates: Sendable, Equatable {
    /// What numbers are: those of the teacher's matrices, so that none is rounded on its way.
    package enum Format: String, Sendable, Equatable { case bf16, f32 }

    /// Numbers, state by state.
    package enum Numbers: Sendable, Equatable {
        /// Each the upper half of a binary32.
        case bf16([UInt16])
        case f32([Float])

        package var count: Int {
            switch self {
            case .bf16(let values): values.count
            case .f32(let values): values.count
            }
        }

        package var format: Format {
            switch self {
            case .bf16: .bf16
            case .f32: .f32
            }
        }

        package subscript(range: Range<Int>) -> Numbers {
            switch self {
            case .bf16(let values): .bf16(Array(values[range]))
            case .f32(let values): .f32(Array(values[range]))
            }
        }
    }

    /// Numbers of one state, at least 1.
    package let size: Int
    package let numbers: Numbers

    /// The largest size that is taken.
    package static let largestSize = 1 << 16

    package init(size: Int, numbers: Numbers) {
        self.size = size
        self.numbers = numbers
    }

    /// State by state, as memory has them.
    package var bytes: [UInt8] {
        switch numbers {
        case .bf16(let values): values.withUnsafeBytes { [UInt8]($0) }
        case .f32(let values): values.withUnsafeBytes { [UInt8]($0) }
        }
    }

    /// Whether all are numbers.
    package var areFinite: Bool {
        switch numbers {
        case .bf16(let values): values.reduce(true) { $0 && $1 & 0x7f80 != 0x7f80 }
        case .f32(let values): values.areFinite
        }
    }

    /// Why these are not what a head multiplies at so many positions; nil where they are.
    package func flaw(positions: Int, of head: SharedHead) -> String? {
        guard numbers.count == 0 || numbers.format == head.format else {
            return "its hidden states are \(numbers.format.rawValue), not \(head.format.rawValue)"
        }
        guard size == head.hiddenSize, numbers.count == positions * size else {
            return
                "\(numbers.count) numbers in hidden states of \(size) for \(positions) tokens of \(head.hiddenSize) each"
        }
        return nil
    }
}

/// What two processes agree on that have the same head: one sends last hidden states, the other makes logits of them.
package struct SharedHead: Sendable, Equatable {
    package let vocabularySize: Int
    /// Numbers of a hidden state.
    package let hiddenSize: Int
    /// Of the head's matrix and of hidden states.
    package let format: HiddenStates.Format
    /// Equal for equal heads: as docs/protocol.md defines it.
    package let fingerprint: String

    package init(vocabularySize: Int, hiddenSize: Int, format: HiddenStates.Format, fingerprint: String) {
        self.vocabularySize = vocabularySize
        self.hiddenSize = hiddenSize
        self.format = format
        self.fingerprint = fingerprint
    }
}
