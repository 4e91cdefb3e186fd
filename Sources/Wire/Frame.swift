/// Immutable memory that frames may point into without copying it.
package protocol ByteStorage: AnyObject, Sendable {
    /// Valid, and unchanged, for as long as the object lives.
    var bytes: UnsafeRawBufferPointer { get }
}

extension ByteStorage {
    /// Calls `body` with the bytes, keeping the object alive meanwhile: a bare `object.bytes` may outlive the object.
    package func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(self) { try body(bytes) }
    }
}

/// One frame of a message: immutable bytes, owned or a slice of a shared storage.
///
/// Received frames may start at any address: copy elements out, never bind the memory to a wider type.
package struct Frame: Sendable {
    private enum Content: Sendable {
        case array([UInt8])
        case slice(any ByteStorage, Range<Int>)
    }

    private let content: Content

    /// A frame that owns `bytes`.
    package init(_ bytes: [UInt8]) { content = .array(bytes) }

    /// A frame over `range` (default: all) of `storage`, which it keeps alive. Nothing is copied.
    package init(storage: any ByteStorage, range: Range<Int>? = nil) {
        let range = range ?? 0..<storage.bytes.count
        precondition(range.lowerBound >= 0 && range.upperBound <= storage.bytes.count, "frame outside its storage")
        content = .slice(storage, range)
    }

    /// Bytes in the frame.
    package var count: Int {
        switch content {
        case .array(let bytes): bytes.count
        case .slice(_, let range): range.count
        }
    }

    /// The object that keeps the bytes alive and unchanged; nil when the frame owns an array.
    package var storage: (any ByteStorage)? {
        if case .slice(let storage, _) = content { storage } else { nil }
    }

    /// Calls `body` with the bytes, which are valid during the call only.
    package func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        switch content {
        case .array(let bytes):
            return try bytes.withUnsafeBufferPointer { bytes throws(Failure) in
                try body(UnsafeRawBufferPointer(bytes))
            }
        case .slice(let storage, let range):
            defer { withExtendedLifetime(storage) {} }
            return try body(UnsafeRawBufferPointer(rebasing: storage.bytes[range]))
        }
    }

    /// A copy of the bytes.
    package var array: [UInt8] {
        if case .array(let bytes) = content { bytes } else { withUnsafeBytes { Array($0) } }
    }
}

extension Frame: Equatable {
    package static func == (left: Frame, right: Frame) -> Bool {
        left.withUnsafeBytes { a in right.withUnsafeBytes { b in a.elementsEqual(b) } }
    }
}
