import Engines
import Locking
import Logging
import Wording

/// Puts requests to the servers of one model until one of them has answered as it should. A server that is down, hangs
/// or restarts costs time, and is named in `trouble`.
package actor ServerCaller {
    /// A request and how its answer is read, made anew for every try.
    package struct Question<Value: Sendable>: Sendable {
        package var request: ServerRequest
        /// Most bytes of an answer.
        package var answerLimit: Int
        package var read: @Sendable ([UInt8]) throws(AnswerFlaw) -> Value

        package init(
            _ request: ServerRequest, answerLimit: Int = 1 << 20,
            read: @escaping @Sendable ([UInt8]) throws(AnswerFlaw) -> Value
        ) {
            self.request = request
            self.answerLimit = answerLimit
            self.read = read
        }
    }

    /// Asks a server something beside what it is for.
    package typealias Verifier = @Sendable (_ address: ServerAddress) async throws -> Void

    private let reference: ServerReference
    private let line: ServerLine
    private let logger = Logger(label: "server")
    private let origin = ContinuousClock.now
    private var pool: ServerPool
    private var verifier: Verifier = { _ in }
    private var confirmer: Verifier = { _ in }
    /// Those who wait for the next confirmation of a server, which begins when the present one is over.
    private var confirming: [Int: [CheckedContinuation<Result<Void, any Error>, Never>]] = [:]
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private var wakeAt: Duration?
    /// Servers that have work and do not say that they live, and since when.
    private var silent: [Int: Duration] = [:]
    private var watching: Task<Void, Never>?
    private let lastTrouble = Locked<String?>(nil)

    /// Wrong answers to one request after which it is given up: by then every server has been asked, or one again.
    private static let mostFlaws = 4
    /// How often a server that has work is asked whether it lives, and how long it has to say so.
    private static let pulse = Duration.seconds(5)
    /// The least time that a server has for the first answers, and how long nothing is said while none has come.
    private static let leastShare = Duration.seconds(1)
    private static let silence = Duration.seconds(2)

    package init(_ reference: ServerReference, line: ServerLine) {
        self.reference = reference
        self.line = line
        pool = ServerPool(
            urls: reference.urls, firstRequests: reference.firstRequests, mostRequests: reference.mostRequests,
            mostTokens: reference.mostTokens,
            seed: .random(in: 0 ... .max))
    }

    /// The servers that do not work, and why; nil while all do.
    package nonisolated var trouble: String? { lastTrouble.withLock { $0 } }

    private var now: Duration { origin.duration(to: .now) }

    // MARK: Beginning

    /// Sets what every server is asked before it is given work, and again after it was out of reach; and waits until one
    /// of them has passed.
    /// - Throws: what the verifier says of a server that is not the one meant; `EngineError` when none answers in time.
    package func begin(verifyingBy verifier: @escaping Verifier) async throws {
        self.verifier = verifier
        confirmer = verifier
        let limit = reference.patience
        var isTold = false, flaw: String?
        while true {
            var reasons: [String] = [], keysRefused = 0
            let missing = pool.servers.indices.filter { !pool.servers[$0].isVerified }
            for (place, index) in missing.enumerated() {
                let address = line.address(pool.servers[index].url)
                // One that hangs leaves the others their share of the time.
                let share = max((limit - now) / (missing.count - place), Self.leastShare)
                do {
                    try await Self.within(share) { try await verifier(address) }
                    pool.verified(index)
                } catch let failure as CallFailure {
                    guard failure.passes else { throw EngineError("\(reference.key): \(address.url): \(failure)") }
                    reasons.append("\(address.url): \(failure)")
                    if failure.kind == .flaw { flaw = reasons.last }
                    if failure.status == 401 { keysRefused += 1 }
                }
            }
            if pool.servers.contains(where: \.isVerified) {
                for reason in reasons { logger.warning("\(reference.key): \(reason)") }
                return
            }
            let why = reasons.joined(separator: "; ")
            // No time mends a wrong key. Later it is waited for: a server may have been started again with another.
            guard keysRefused < missing.count else { throw EngineError("\(reference.key): \(why)") }
            guard now < limit else {
                // Somebody is there, and is not, or not yet, what is meant.
                if let flaw {
                    throw EngineError(
                        "\(reference.key): \(flaw); no answer was right for \(limit.shortSeconds) s "
                            + "(\(reference.key).start_timeout_s); is it the server that is meant?")
                }
                throw EngineError(
                    "\(reference.key): \(why); no server has answered for \(limit.shortSeconds) s "
                        + "(\(reference.key).start_timeout_s); start the server, or correct its address",
                    isAbsence: true)
            }
            if !isTold, now > Self.silence {
                isTold = true
                logger.notice("\(reference.key): waiting \(limit.shortSeconds) s at most for a server: \(why)")
            }
            try await Task.sleep(for: .seconds(1))
        }
    }

    /// Asks once, for a limited time.
    private static func within(_ time: Duration, _ work: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask(operation: work)
            group.addTask {
                try await Task.sleep(for: time)
                throw CallFailure(.unreachable, "it has not answered what it was asked within \(time.shortSeconds) s")
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Sets what servers are asked from now on.
    /// - Parameters:
    ///   - verifier: asks one that comes back before it is given work, and brings it what it needs.
    ///   - confirmer: asks one that has answered over a new connection whether it is still the one of before; that a
    ///     server was started again is seen by nothing else when it had no work meanwhile.
    package func verify(_ verifier: @escaping Verifier, confirmingBy confirmer: @escaping Verifier) {
        self.verifier = verifier
        self.confirmer = confirmer
    }

    // MARK: Asking

    /// Asks until a server has given a good answer.
    /// - Parameters:
    ///   - tokens: that are read and written for it.
    ///   - question: called for every try, with the server that is asked.
    /// - Throws: `EngineError` for what no server answers well; `CancellationError`.
    package func ask<Value>(
        tokens: Int, _ question: @Sendable () async throws -> Question<Value>
    ) async throws -> Value {
        var flaws = 0
        while true {
            let index = try await acquire(tokens: tokens), address = line.address(pool.servers[index].url)
            let begun = ContinuousClock.now
            do {
                if !pool.servers[index].isVerified {
                    try await verifier(address)
                    pool.verified(index)
                    logger.notice("\(reference.key): \(address.url) answers")
                }
                let (value, isFirst) = try await address.askNoting(question())
                if isFirst { try await confirm(index, address) }
                pool.succeeded(index, tokens: tokens, latency: begun.duration(to: .now))
                silent[index] = nil
                wakeWaiters()
                return value
            } catch let failure as CallFailure where failure.passes {
                let isNew = pool.servers[index].trouble == nil
                pool.failed(
                    index, tokens: tokens, reason: "\(failure)", isGone: failure.kind != .flaw,
                    isSilent: failure.kind == .unreachable && failure.status == nil, now: now)
                wakeWaiters()
                if isNew { logger.warning("\(reference.key): \(address.url): \(failure); it is tried again") }
                if failure.kind == .flaw { flaws += 1 }
                guard flaws < Self.mostFlaws else {
                    throw EngineError("\(reference.key): \(address.url): \(flaws) wrong answers, the last: \(failure)")
                }
            } catch let error where error is CancellationError || Task.isCancelled {
                pool.cancelled(index, tokens: tokens)
                wakeWaiters()
                throw CancellationError()
            } catch {
                pool.cancelled(index, tokens: tokens)
                wakeWaiters()
                throw error is CallFailure ? EngineError("\(reference.key): \(address.url): \(error)") : error
            }
        }
    }

    /// Waits until a server was asked, after this was called, whether it is the one of before.
    private func confirm(_ index: Int, _ address: ServerAddress) async throws {
        try await withCheckedContinuation { continuation in
            guard confirming[index] == nil else {
                confirming[index]?.append(continuation)
                return
            }
            confirming[index] = [continuation]
            Task { await confirmAll(index, address) }
        }.get()
    }

    private func confirmAll(_ index: Int, _ address: ServerAddress) async {
        while let waiting = confirming[index], !waiting.isEmpty {
            confirming[index] = []
            var result = Result<Void, any Error>.success(())
            do { try await confirmer(address) } catch { result = .failure(error) }
            for continuation in waiting { continuation.resume(returning: result) }
        }
        confirming[index] = nil
    }

    /// Sees whether any server answers; for who waits for a long response.
    package func ping() async -> Bool {
        for server in pool.servers where server.trouble == nil {
            let health = Question(ServerRequest(.get, "/health")) { _ throws(AnswerFlaw) in () }
            if (try? await line.address(server.url).ask(health, timeout: .seconds(5))) != nil { return true }
        }
        return false
    }

    /// Asks servers that have work whether they live: one that hangs is named long before its requests time out.
    private func watch() {
        guard watching == nil else { return }
        watching = Task { [weak self] in
            while (try? await Task.sleep(for: Self.pulse)) != nil {
                guard let caller = self, await caller.listen() else { return }
            }
        }
    }

    /// - Returns: false when no server has work; then nobody watches any more.
    private func listen() async -> Bool {
        for index in pool.servers.indices where pool.servers[index].requests > 0 && pool.servers[index].trouble == nil {
            let address = line.address(pool.servers[index].url), asked = now
            let health = Question(ServerRequest(.get, "/health")) { _ throws(AnswerFlaw) in () }
            do {
                let (_, isFirst) = try await address.askNoting(health, timeout: Self.pulse)
                silent[index] = nil
                // The connection is kept, and what comes over it next is not taken for its first answer.
                if isFirst { try await confirm(index, address) }
            } catch let failure as CallFailure where failure.status == nil {
                silent[index] = silent[index] ?? asked
                pool.doubted(index)
            } catch {
                silent[index] = nil
                pool.doubted(index)
            }
        }
        silent = silent.filter { pool.servers[$0.key].requests > 0 }
        wakeWaiters()
        guard pool.servers.contains(where: { $0.requests > 0 }) else {
            watching = nil
            return false
        }
        return true
    }

    /// The addresses of all servers, for what is asked of each.
    package var addresses: [ServerAddress] { pool.servers.map { line.address($0.url) } }

    // MARK: Waiting

    private func acquire(tokens: Int) async throws -> Int {
        while true {
            guard !Task.isCancelled else { throw CancellationError() }
            switch pool.choice(tokens: tokens, now: now) {
            case .use(let index):
                pool.begin(index, tokens: tokens)
                watch()
                return index
            case .wait(let time):
                if let time { wake(at: time) }
                await withTaskCancellationHandler {
                    await withCheckedContinuation { waiters.append($0) }
                } onCancel: {
                    Task { await self.wakeAll() }
                }
            }
        }
    }

    private func wakeWaiters() {
        let silences = silent.sorted { $0.key < $1.key }
            .compactMap { index, since -> String? in
                let server = pool.servers[index]
                guard server.trouble == nil else { return nil }
                return "\(server.url): it has work and does not answer, for \(Int((now - since).seconds)) s"
            }
        let troubles = [pool.trouble(now: now)].compactMap(\.self) + silences
        let text = troubles.isEmpty ? nil : troubles.joined(separator: "; ")
        lastTrouble.withLock { $0 = text }
        wakeAll()
    }

    private func wakeAll() {
        let woken = waiters
        waiters = []
        for waiter in woken { waiter.resume() }
    }

    private func wake(at time: Duration) {
        guard wakeAt.map({ time < $0 }) ?? true else { return }
        wakeAt = time
        let wait = time - now
        Task {
            try? await Task.sleep(for: wait + .milliseconds(1))
            if wakeAt == time { wakeAt = nil }
            wakeWaiters()
        }
    }
}
