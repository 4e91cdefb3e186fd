import Engines

/// Why the torch engine did not do what it was asked.
enum TorchFailure: Error {
    /// It says why, and is as it was before. The code is one of docs/torch.md.
    case refused(code: String, reason: String)
    /// Its processes are gone, or as good as gone; why, in one line that continues "the torch engine".
    case died(reason: String, canBeTriedAgain: Bool)
    /// It could not be started as the user asked for.
    case notStarted(String)

    /// The failure as the learner and its user see it.
    var engineError: any Error {
        switch self {
        case .refused("model", let reason): EngineRefusal(.model, reason)
        case .refused("adapters", let reason): EngineRefusal(.adapters, reason)
        case .refused("device", let reason), .notStarted(let reason): EngineRefusal(.engine, reason)
        case .refused(_, let reason): EngineError("the torch engine: \(reason)")
        case .died(let reason, _): EngineError("the torch engine \(reason)")
        }
    }
}
