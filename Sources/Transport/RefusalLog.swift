import Logging

/// Tells once a peer and reason why something of it was not taken.
struct RefusalLog: Sendable {
    private var logged: Set<String> = []
    private var isFull = false
    private let logger: Logger
    /// Addresses and names cost a hostile peer nothing, so only so many are remembered.
    private static let maximum = 1024

    init(logger: Logger) { self.logger = logger }

    /// - Parameters:
    ///   - who: the peer, for a person.
    ///   - identity: what stays the same when it comes again: a key, a host; nil: `who`.
    mutating func record(_ who: String, as identity: String? = nil, _ reason: String) {
        let line = "\(identity ?? who): \(reason)"
        guard !logged.contains(line) else { return }
        guard logged.count < Self.maximum else {
            if !isFull { logger.warning("more peers are turned away than can be told of; they are only counted") }
            isFull = true
            return
        }
        logged.insert(line)
        logger.warning("\(who) is turned away: \(reason); further times are only counted")
    }
}
