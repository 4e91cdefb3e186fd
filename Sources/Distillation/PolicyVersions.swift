/// The version of the weights that each token of a response was sampled with, as runs of equal ones: a response sees
/// new weights a few times, if at all.
///
/// As a sequence it has one version a token.
public struct PolicyVersions: Sendable, Equatable {
    public struct Run: Sendable, Equatable {
        public var version: UInt64
        /// Tokens, at least 1.
        public var count: Int

        public init(version: UInt64, count: Int) {
            self.version = version
            self.count = count
        }
    }

    /// Neighbours differ, so that equal versions have equal runs.
    public private(set) var runs: [Run] = []
    /// Tokens of all runs.
    public private(set) var count = 0

    public init(_ versions: some Sequence<UInt64>) {
        for version in versions { append(version) }
    }

    /// `count` tokens of one version.
    public init(repeating version: UInt64, count: Int) { append(version, count: count) }

    /// Adds `count` tokens; none when it is 0.
    public mutating func append(_ version: UInt64, count: Int = 1) {
        precondition(count >= 0, "a run has no fewer than 0 tokens")
        guard count > 0 else { return }
        self.count += count
        if runs.last?.version == version {
            runs[runs.count - 1].count += count
        } else {
            runs.append(Run(version: version, count: count))
        }
    }

    /// The newest; nil for an empty response.
    public var newest: UInt64? { runs.lazy.map(\.version).max() }
    /// That of the last token; nil for an empty response.
    public var last: UInt64? { runs.last?.version }
}

extension PolicyVersions: Sequence {
    public var underestimatedCount: Int { count }

    public func makeIterator() -> some IteratorProtocol<UInt64> {
        runs.lazy.flatMap { repeatElement($0.version, count: $0.count) }.makeIterator()
    }
}

extension PolicyVersions: ExpressibleByArrayLiteral {
    public init(arrayLiteral versions: UInt64...) { self.init(versions) }
}
