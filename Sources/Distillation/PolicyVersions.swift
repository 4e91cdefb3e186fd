/// The version of the weights that each token of a response was sampled with, as runs of equal ones: a response sees
/// new weights a few times, if at all.
///
/// Read as a sequence, it has one version a token.
package struct PolicyVersions: Sendable, Equatable {
    /// Neighbouring tokens of one version.
    package struct Run: Sendable, Equatable {
        package var version: UInt64
        /// Tokens, at least 1.
        package var count: Int

        package init(version: UInt64, count: Int) {
            self.version = version
            self.count = count
        }
    }

    /// Neighbours differ, so that equal versions have equal runs.
    package private(set) var runs: [Run] = []
    /// Tokens of all runs.
    package private(set) var count = 0

    package init(_ versions: some Sequence<UInt64>) {
        for version in versions { append(version) }
    }

    /// `count` tokens of one version.
    package init(repeating version: UInt64, count: Int) { append(version, count: count) }

    /// Adds `count` tokens; none when it is 0.
    package mutating func append(_ version: UInt64, count: Int = 1) {
        precondition(count >= 0, "a run has no fewer than 0 tokens")
        guard count > 0 else { return }
        self.count += count
        if runs.last?.version == version {
            runs[runs.count - 1].count += count
        } else {
            runs.append(Run(version: version, count: count))
        }
    }

    /// The newest version; nil for an empty response.
    package var newest: UInt64? { runs.lazy.map(\.version).max() }
    /// The version of the last token; nil for an empty response.
    package var last: UInt64? { runs.last?.version }
}

extension PolicyVersions: Sequence {
    package var underestimatedCount: Int { count }

    package func makeIterator() -> some IteratorProtocol<UInt64> {
        runs.lazy.flatMap { repeatElement($0.version, count: $0.count) }.makeIterator()
    }
}

extension PolicyVersions: ExpressibleByArrayLiteral {
    package init(arrayLiteral versions: UInt64...) { self.init(versions) }
}
