/// The tasks of an actor that wait for its next change, whatever that is.
struct Waiters: Sendable {
    private var continuations: [CheckedContinuation<Void, Never>] = []

    /// Has a task wait until ``wake()``.
    mutating func add(_ continuation: CheckedContinuation<Void, Never>) { continuations.append(continuation) }

    /// Resumes all that wait, once each.
    mutating func wake() {
        let waiting = continuations
        continuations = []
        for continuation in waiting { continuation.resume() }
    }
}
