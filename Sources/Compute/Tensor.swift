import CKernels
import Glibc
import Rules

/// A contiguous row-major matrix, or a view of consecutive rows of one.
///
/// A reference to storage: copies share elements. Not Sendable: a tensor lives where its compute context lives.
package struct Tensor {
    package let rows: Int
    package let columns: Int
    package let type: ElementType
    /// First element. Valid while this value or a copy of it lives.
    package let bytes: UnsafeMutableRawPointer
    private let owner: AnyObject?

    /// A zero-filled matrix with storage of its own, 64-byte aligned.
    package init(rows: Int, columns: Int, type: ElementType = .f32) {
        precondition(rows >= 0 && columns >= 0, "negative tensor size")
        let storage = AlignedStorage(byteCount: rows * columns * type.byteCount)
        self.init(viewing: storage.base, rows: rows, columns: columns, type: type, owner: storage)
    }

    /// An f32 matrix holding a copy of `floats`, row by row.
    package init(floats: [Float], rows: Int, columns: Int) {
        precondition(floats.count == rows * columns, "\(floats.count) floats for \(rows) x \(columns)")
        self.init(rows: rows, columns: columns)
        floats.withUnsafeBytes { if let from = $0.baseAddress { memcpy(bytes, from, $0.count) } }
    }

    /// A view of memory that `owner` keeps alive (a parameter arena, a mapped file). The memory must stay put; reads
    /// of whole vectors never pass its end.
    package init(
        viewing bytes: UnsafeMutableRawPointer, rows: Int, columns: Int, type: ElementType, owner: AnyObject?
    ) {
        self.bytes = bytes
        self.rows = rows
        self.columns = columns
        self.type = type
        self.owner = owner
    }

    package var count: Int { rows * columns }
    package var byteCount: Int { count * type.byteCount }

    /// Rows `range`, sharing this tensor's elements.
    package func rows(_ range: Range<Int>) -> Tensor {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) of \(rows)")
        return Tensor(
            viewing: bytes + range.lowerBound * columns * type.byteCount, rows: range.count, columns: columns,
            type: type, owner: owner)
    }

    /// The same elements with another row length; `rows * columns` must stay.
    package func reshaped(rows: Int, columns: Int) -> Tensor {
        precondition(rows * columns == count, "\(count) elements as \(rows) x \(columns)")
        return Tensor(viewing: bytes, rows: rows, columns: columns, type: type, owner: owner)
    }

    package var f32: UnsafeMutablePointer<Float> {
        precondition(type == .f32, "f32 elements of a \(type.rawValue) tensor")
        return bytes.assumingMemoryBound(to: Float.self)
    }

    package var bf16: UnsafeMutablePointer<UInt16> {
        precondition(type == .bf16, "bf16 elements of a \(type.rawValue) tensor")
        return bytes.assumingMemoryBound(to: UInt16.self)
    }

    /// A converted copy of all elements, row by row. For tests and small reads.
    package func floats() -> [Float] {
        [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            if let to = buffer.baseAddress {
                switch type {
                case .f32: memcpy(to, bytes, byteCount)
                case .bf16: ck_convert_bf16_to_f32(to, bf16, Int64(count))
                }
            }
            initialized = count
        }
    }

    /// Sets every element.
    package func fill(_ value: Float) {
        switch type {
        case .f32: f32.update(repeating: value, count: count)
        case .bf16:
            var narrowed: UInt16 = 0
            var value = value
            ck_convert_f32_to_bf16(&narrowed, &value, 1)
            bf16.update(repeating: narrowed, count: count)
        }
    }
}

/// Memory reused for tensors of changing row counts: grows, never shrinks, so that a steady state allocates nothing.
///
/// Every tensor it hands out shares the same memory; contents do not survive a growth.
package final class ScratchTensor {
    package let columns: Int
    package let type: ElementType
    private var storage: Tensor

    package init(columns: Int, type: ElementType = .f32) {
        self.columns = columns
        self.type = type
        storage = Tensor(rows: 0, columns: columns, type: type)
    }

    /// The first `rows` rows, grown when needed. Contents are unspecified.
    package func tensor(rows: Int) -> Tensor {
        if rows > storage.rows {
            let room = max(rows, storage.rows + storage.rows / 4)
            // The old memory goes before the new is made.
            storage = Tensor(rows: 0, columns: columns, type: type)
            storage = Tensor(rows: room, columns: columns, type: type)
        }
        return storage.rows(0..<rows)
    }
}
