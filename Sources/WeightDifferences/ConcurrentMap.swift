import Dispatch

/// Memory that several threads use, each a part of its own.
///
/// `@unchecked Sendable`: who makes one sees to it that the parts are disjoint where they are written, and that the
/// memory lives until all threads are done.
struct SharedMemory: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer

    init(_ bytes: UnsafeMutableRawBufferPointer) { self.bytes = bytes }
}

/// The results for all numbers below `count`, computed on every core.
func concurrentMap<Result: Sendable>(_ count: Int, _ body: @Sendable (Int) -> Result) -> [Result] {
    [Result](unsafeUninitializedCapacity: count) { results, initialized in
        let places = Places(base: results.baseAddress)
        DispatchQueue.concurrentPerform(iterations: count) { index in
            places.base.map { ($0 + index).initialize(to: body(index)) }
        }
        initialized = count
    }
}

/// `@unchecked Sendable`: every thread writes elements of its own.
private struct Places<Result>: @unchecked Sendable {
    let base: UnsafeMutablePointer<Result>?
}
