import Locking
import Transport
import Wire

/// The in-process learner, with the network that its members need.
final class NetworkLearner: Transport {
    let network: InProcessNetwork
    private let learner: any Transport

    init(_ network: InProcessNetwork) {
        self.network = network
        learner = network.learner()
    }

    func send(_ message: Message, to peer: PeerID) throws(WireError) { try learner.send(message, to: peer) }
    var events: TransportEvents { learner.events }
    func close() async { await learner.close() }
    var statistics: TransportStatistics { learner.statistics }
}

/// Keeps transports open that a test never closes.
enum Abandoned {
    private static let kept = Locked<[any Transport]>([])
    static func keep(_ transport: any Transport) { kept.withLock { $0.append(transport) } }
}
