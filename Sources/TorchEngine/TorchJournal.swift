import JSON

/// The optimizer steps since the state that was saved last: what a new engine does to be where the lost one was.
///
/// A step is its passes and the dL/ds that they were given: the method need not be asked again.
struct TorchJournal: Sendable {
    /// A step that the engine has done.
    struct Step: Sendable {
        var passes: [(forward: TorchMessage, backward: TorchMessage)] = []
        var update = TorchMessage("step")
    }

    private(set) var steps: [Step] = []
    /// Whether all steps are in it.
    private(set) var isWhole = true
    private var byteCount = 0
    private let limit: Int

    /// - Parameter limit: most bytes of all steps; more are not kept, and an engine that dies then cannot go on.
    init(limit: Int = 512 << 20) { self.limit = limit }

    mutating func append(_ step: Step) {
        guard isWhole else { return }
        byteCount += step.passes.reduce(0) { sum, pass in
            sum + 4 * (pass.forward.arrays + pass.backward.arrays).reduce(0) { $0 + $1.values.count }
        }
        guard byteCount <= limit else {
            isWhole = false
            return steps = []
        }
        steps.append(step)
    }

    /// Begins again, at a state that was saved.
    mutating func clear() { self = TorchJournal(limit: limit) }
}
