import Engines
import Files
import Locking
import Logging
import Wire
import Wording

/// Brings versions of a student's weights to a server on this machine, and makes sure that the server has them.
package actor WeightCarrier {
    /// A version that the server has.
    private struct Version: Sendable {
        var number: UInt64
        /// The adapters' name; nil: all weights.
        var adapter: String?
        var folder: String
        /// CRC-32 of the snapshot: equal weights give equal answers.
        var checksum: UInt32
        /// The log-probabilities of the probe with them.
        var scores: [Float]
    }

    /// What is seen without waiting.
    private struct View: Sendable {
        var version: UInt64?
        var adapter: String?
        var trouble: String?
    }

    /// Computes the probe's log-probabilities with given weights, where this process can.
    package typealias Expectation = @Sendable (WeightBytes, WeightManifest, UInt64) async throws -> [Float]

    package nonisolated let form: PolicyForm
    private let address: ServerAddress
    private let probe: ServerProbe
    private let model: String
    private let expectation: Expectation?
    private let shared: SharedFolder
    private let logger = Logger(label: "server")
    private var current: Version?
    /// Adapters of before, for the responses that are sampled with them.
    private var older: [Version] = []
    private let view = Locked(View())
    private let tag = String(UInt32.random(in: 0 ... .max), radix: 16)

    private static let adapterPrefix = "opd-"
    /// Times that a server may take weights without using them.
    private static let tries = 3
    private static let firstBackoff = Duration.milliseconds(500)
    private static let longestBackoff = Duration.seconds(20)

    /// - Parameter expectation: nil: not known; then it is only seen that answers change with the weights.
    package init(
        _ form: PolicyForm, to address: ServerAddress, probe: ServerProbe, model: String,
        expectation: Expectation?, shared: SharedFolder
    ) {
        self.form = form
        self.address = address
        self.probe = probe
        self.model = model
        self.expectation = expectation
        self.shared = shared
    }

    /// The newest version that the server has; nil before the first.
    package nonisolated var version: UInt64? { view.withLock { $0.version } }
    /// The name by which that version is asked for; nil where it is the model's.
    package nonisolated var adapter: String? { view.withLock { $0.adapter } }
    /// Keeps prompts that were read with other weights apart.
    package nonisolated var cacheSalt: String? {
        form.replacesInPlace ? version.map { "version-\($0)" } : nil
    }
    package nonisolated var trouble: String? { view.withLock { $0.trouble } }

    /// Brings a version, however long the server takes to be there.
    /// - Throws: `EngineError` when it refuses the weights, or does not use them.
    package func bring(_ bytes: WeightBytes, _ manifest: WeightManifest, version: UInt64) async throws {
        let name = "\(Self.adapterPrefix)\(tag)-v\(version)"
        var next = Version(
            number: version, adapter: form.replacesInPlace ? nil : name, folder: "\(shared.path)/v\(version)",
            checksum: bytes.checksum, scores: [])
        let form = form, folder = next.folder
        try await onThread("weights") { Result { try form.write(bytes, manifest, version: version, to: folder) } }
            .get()
        let expected = try await expectation?(bytes, manifest, version)
        var flaw = ""
        for _ in 0..<Self.tries {
            let brought = next
            next.scores = try await patiently {
                try await self.load(brought)
                return try await self.probe.scores(self.address, model: brought.adapter ?? self.model)
            }
            if let found = self.flaw(next, expected) {
                flaw = found
                continue
            }
            if let old = current { older.append(old) } else { await forgetAbandoned() }
            current = next
            view.withLock { ($0.version, $0.adapter) = (next.number, next.adapter) }
            return
        }
        throw EngineError(
            "\(probe.reference.key): \(address.url) has taken weights \(version) and does not use them: \(flaw)")
    }

    /// Why the server does not seem to use what it was brought; nil when it does.
    private func flaw(_ next: Version, _ expected: [Float]?) -> String? {
        if let expected {
            let difference = ServerProbe.meanDifference(next.scores, expected)
            guard difference <= ServerProbe.alike else {
                return
                    "its log-probabilities differ by \(difference) nats a token from those of these weights; start it with "
                    + "the student's dtype, from a folder that 'opd convert --untie' has written"
            }
            logger.debug("weights \(next.number): the server differs by \(difference) nats a token")
        }
        if let current, current.checksum != next.checksum, current.scores == next.scores {
            return "its log-probabilities are those of weights \(current.number)"
        }
        return nil
    }

    /// Brings what it has lost to a server that was started again.
    package func restore() async throws {
        // Nobody asks for older ones: responses that were under way are begun again.
        older = []
        guard let current else { return }
        try await load(current)
        logger.notice("\(probe.reference.key): \(address.url) was brought weights \(current.number) again")
    }

    /// Asks whether the server still has what it was brought last.
    /// - Throws: `CallFailure` when it does not seem so.
    package func confirm() async throws {
        guard form.replacesInPlace, let current else { return }
        let scores = try await probe.scores(address, model: model)
        let difference = zip(scores, current.scores).map { $0 == $1 ? 0 : abs($0 - $1) }.max() ?? 0
        // What else it does may change the last digits; then it is brought the same weights once more.
        guard difference <= ServerProbe.repeatable || self.current?.number != current.number else {
            throw CallFailure(.unreachable, "it has lost weights \(current.number)")
        }
    }

    /// Has the server forget versions that nothing is sampled with any more.
    package func forget(keeping versions: Set<UInt64>) async {
        let unused = older.filter { !versions.contains($0.number) && $0.number != current?.number }
        older.removeAll { version in unused.contains { $0.number == version.number } }
        for version in unused {
            if let name = version.adapter { _ = try? await address.perform(probe.dialect.unloadAdapter(named: name)) }
            let folder = version.folder
            await onThread("weights") { _ = try? FileTree.remove(folder) }
        }
    }

    /// Removes what earlier workers left, which the server does not read any more.
    private func forgetAbandoned() async {
        let shared = shared
        await onThread("weights") { shared.removeAbandoned() }
    }

    /// Has the server forget the adapters that an earlier worker left.
    package func forgetStrangers() async throws {
        let models = try await address.ask(
            .init(probe.dialect.listing) { body throws(AnswerFlaw) in try ServedModel.all(in: body) })
        for model in models where model.name.hasPrefix(Self.adapterPrefix) && model.parent != nil {
            try await address.perform(probe.dialect.unloadAdapter(named: model.name))
        }
    }

    private func load(_ version: Version) async throws {
        try await shared.whileRead { try await perform(version) }
    }

    private func perform(_ version: Version) async throws {
        guard let name = version.adapter else {
            let replacement = probe.dialect.replaceWeights(from: version.folder, version: version.number)
            do {
                for request in replacement.replacing { try await address.perform(request) }
            } catch {
                for request in replacement.ending { _ = try? await address.perform(request) }
                throw error
            }
            for request in replacement.ending { try await address.perform(request) }
            return
        }
        // After a broken connection nobody knows whether it was loaded, and a second time is refused.
        _ = try? await address.perform(probe.dialect.unloadAdapter(named: name))
        try await address.perform(probe.dialect.loadAdapter(named: name, from: version.folder))
    }

    /// Tries again for as long as the server does not answer.
    private func patiently<Value: Sendable>(_ work: @Sendable () async throws -> Value) async throws -> Value {
        var backoff = Self.firstBackoff
        let begun = ContinuousClock.now
        while true {
            do {
                let value = try await work()
                view.withLock { $0.trouble = nil }
                return value
            } catch let failure as CallFailure {
                guard failure.passes else { throw EngineError("\(probe.reference.key): \(address.url): \(failure)") }
                let seconds = Int(begun.duration(to: .now).seconds)
                view.withLock { $0.trouble = "\(address.url): \(failure), for \(seconds) s" }
                if backoff == Self.firstBackoff { logger.warning("\(probe.reference.key): \(address.url): \(failure)") }
                try await Task.sleep(for: backoff * Double.random(in: 0.5...1))
                backoff = min(backoff * 2, Self.longestBackoff)
            }
        }
    }
}
