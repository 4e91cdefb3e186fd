import Wire

/// How torch computes a model, in processes that this one starts.
package struct TorchReference: Sendable, Equatable {
    /// The program with torch and transformers: a path, or a name that is looked up.
    package var python: String
    /// Processes that share the model, at least 1.
    package var processes: Int
    /// `auto`, `cpu` or `cuda`.
    package var device: String
    /// Type of what is multiplied; nil: the model's.
    package var type: WeightType?
    /// Whether activations are computed again in the backward pass instead of kept.
    package var recomputes: Bool
    /// `auto`, or as transformers names it.
    package var attention: String
    package var compiles: Bool
    /// File that the words of the processes are appended to.
    package var logPath: String

    package init(
        python: String, processes: Int = 1, device: String = "auto", type: WeightType? = nil, recomputes: Bool = true,
        attention: String = "auto", compiles: Bool = false, logPath: String
    ) {
        self.python = python
        self.processes = processes
        self.device = device
        self.type = type
        self.recomputes = recomputes
        self.attention = attention
        self.compiles = compiles
        self.logPath = logPath
    }
}
