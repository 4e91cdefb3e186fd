/// Where a context's time goes: calls, seconds and floating-point operations of each kind of work.
///
/// Set `ComputeContext.profile` to collect one. An operation that uses others is booked whole, under its own name.
package final class OperationProfile {
    package enum Operation: String, CaseIterable, Sendable {
        case linear, head, comparison, attention, rope, norm, activation, embedding, conversion, sampling, packing,
            optimizer
        case weightGradient = "weight gradient"
        case headGradient = "head gradient"
        case attentionGradient = "attention gradient"
        case normGradient = "norm gradient"
        case activationGradient = "activation gradient"
    }

    package struct Entry: Sendable {
        package var calls = 0
        package var seconds = 0.0
        /// Multiplications and additions of its matrix products; 0 for work that is bound by memory.
        package var flops = 0.0
    }

    package private(set) var entries: [Operation: Entry] = [:]
    private let started = ContinuousClock.now
    private var depth = 0
    private var current = (operation: Operation.linear, flops: 0.0, start: ContinuousClock.now)

    package init() {}

    /// Seconds since the profile was made.
    package var elapsed: Double { (ContinuousClock.now - started) / .seconds(1) }

    func begin(_ operation: Operation, flops: Double = 0) {
        depth += 1
        if depth == 1 { current = (operation, flops, .now) }
    }

    func end() {
        depth -= 1
        guard depth == 0 else { return }
        var entry = entries[current.operation] ?? Entry()
        entry.calls += 1
        entry.seconds += (ContinuousClock.now - current.start) / .seconds(1)
        entry.flops += current.flops
        entries[current.operation] = entry
    }
}
