import Engines
import Logging
import Transport
import Wire

/// How a member follows weights that the learner announces: they are fetched beside its work, wait here, and are taken
/// into use between two pieces of it.
struct WeightFollower: Sendable {
    private let transport: any Transport
    private let byteCount: Int?
    private let options: WeightFetchMachine.Options
    private let logger: Logger
    private var fetcher: WeightFetcher
    private var listening: Task<Void, Never>?
    /// Learners that were followed before this one: what was meant for them is void.
    private var life = 0
    private var failures = 0
    private var next: FetchedWeights?
    /// The version in use; nil before the first, and when another learner's are awaited.
    private(set) var version: UInt64?

    /// - Parameters:
    ///   - byteCount: of a snapshot of the member's model; nil takes any.
    ///   - version: with which the member begins; nil: none.
    ///   - takesDifferences: whether what has changed since its version is fetched, where the learner has that.
    init(
        _ transport: any Transport, byteCount: Int?, version: UInt64? = nil, takesDifferences: Bool = false,
        logger: Logger
    ) {
        self.transport = transport
        self.byteCount = byteCount
        self.version = version
        self.logger = logger
        options = WeightFetchMachine.Options(takesDifferences: takesDifferences)
        fetcher = Self.fetcher(transport, byteCount, options, logger)
    }

    private static func fetcher(
        _ transport: any Transport, _ byteCount: Int?, _ options: WeightFetchMachine.Options, _ logger: Logger
    ) -> WeightFetcher {
        WeightFetcher(expectedByteCount: byteCount, options: options, logger: logger) { request in
            do {
                try transport.send(.weightsRequest(request))
            } catch {
                logger.error("a weights request cannot be sent: \(error)")
            }
        }
    }

    // MARK: Fetching

    /// Has what comes handed to the member, until another learner is followed.
    mutating func listen(_ deliver: @escaping @Sendable (WeightFetchOutcome) async -> Void) {
        listening?.cancel()
        let outcomes = fetcher.outcomes
        listening = Task {
            for await outcome in outcomes {
                guard !Task.isCancelled else { return }
                await deliver(outcome)
            }
        }
    }

    /// Hands a message about weights to the fetcher.
    /// - Returns: what it waits for; nil: the message is about nothing here.
    func receiver(of message: Message) -> (@Sendable () async -> Void)? {
        let fetcher = fetcher
        switch message {
        case .weightsAnnounce(let announce): return { await fetcher.receive(announce) }
        case .weightsChunk(let chunk): return { await fetcher.receive(chunk) }
        default: return nil
        }
    }

    /// Takes what a fetch has come to.
    /// - Returns: why the member cannot go on; nil: it can.
    mutating func take(_ outcome: WeightFetchOutcome) -> MemberError? {
        switch outcome {
        case .fetched(let weights):
            failures = 0
            next = weights
        case .failed(let error):
            failures += 1
            logger.warning("\(error)")
            // The learner announces again after every heartbeat that tells of other weights.
            if failures >= Self.mostFailures { return MemberError("\(error)") }
        }
        return nil
    }

    private static let mostFailures = 5

    /// Another learner: all that was fetched or announced is void. Call ``listen(_:)`` next.
    mutating func forget() {
        life += 1
        version = nil
        next = nil
        let old = fetcher
        Task { await old.stop() }
        fetcher = Self.fetcher(transport, byteCount, options, logger)
    }

    /// Ends all fetching.
    func stop() async {
        listening?.cancel()
        await fetcher.stop()
    }

    // MARK: Use

    /// Whether new weights wait to be taken into use.
    var hasNext: Bool { next != nil }

    /// Weights that are to be taken into use now, with the learner's number; nil: none are new.
    mutating func takeNext() -> (weights: FetchedWeights, life: Int)? {
        defer { next = nil }
        return next.map { ($0, life) }
    }

    /// Notes that weights are in use, unless another learner has come meanwhile, to whom they mean nothing.
    mutating func use(_ weights: FetchedWeights, of life: Int) {
        if life == self.life { version = weights.version }
        logger.debug("weights \(weights.version) are in use")
    }
}
