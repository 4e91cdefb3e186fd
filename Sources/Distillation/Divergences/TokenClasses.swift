import Glibc

/// The classes into which a list of tokens cuts the vocabulary: each of them is one, and all others together, the tail,
/// are one more, the last.
///
/// With a teacher's most probable tokens they are what can be sent of its distribution. By the data-processing
/// inequality no divergence of the classes is above that of the vocabulary, and more tokens never make it smaller; a list
/// that is renormalised without its tail has no such order.
package struct TokenClasses: Sendable, Equatable {
    /// The listed tokens, no two alike.
    package let ids: [Int32]
    /// Whether each token of the vocabulary is in the tail.
    private let isTail: [Bool]

    /// Nil where a token is listed twice or is none of the vocabulary.
    package init?(_ ids: [Int32], vocabularySize: Int) {
        var isTail = [Bool](repeating: true, count: vocabularySize)
        for id in ids {
            guard isTail.indices.contains(Int(id)), isTail[Int(id)] else { return nil }
            isTail[Int(id)] = false
        }
        self.ids = ids
        self.isTail = isTail
    }

    /// Log-probabilities of the classes, from those of all tokens; the tail's is -inf where all tokens are listed.
    ///
    /// The tail is summed up, not what is missing from 1: that would lose all digits of a small one, and with f32 the
    /// class itself, which makes a reverse KL infinite.
    package func logprobs(_ vocabulary: [Double]) -> [Double] {
        precondition(vocabulary.count == isTail.count, "one log-probability a token of the vocabulary")
        let tail = logSumExp(vocabulary.indices.lazy.filter { isTail[$0] }.map { vocabulary[$0] })
        return ids.map { vocabulary[Int($0)] } + [tail]
    }

    /// The gradient in the logits of all tokens, from that of the classes.
    ///
    /// A token of the tail has the tail's gradient in proportion to its own part of the tail.
    /// - Parameters:
    ///   - classes: dD/dz as ``Divergence/position(student:teacher:)`` returns it for ``logprobs(_:)``, the tail's last.
    ///   - student: log p of all tokens.
    package func spread(_ classes: [Double], student: [Double]) -> [Double] {
        precondition(classes.count == ids.count + 1 && student.count == isTail.count, "one value a class, and a token")
        let tail = logprobs(student)[ids.count]
        // No part of nothing.
        let pull = tail > -.infinity ? classes[ids.count] : 0, total = tail > -.infinity ? tail : 0
        var gradient = zip(student, isTail).map { $1 ? pull * exp($0 - total) : 0 }
        for (id, value) in zip(ids, classes) { gradient[Int(id)] = value }
        return gradient
    }
}

/// The log-probability of the tail where only the listed tokens are told: log(1 - sum_i q_i).
///
/// Rounding may leave nothing of it, or less; it is not below what the listed values can tell apart from nothing, because
/// a tail without probability would make a reverse KL infinite.
/// - Parameters:
///   - listed: log q of the listed tokens.
///   - resolution: the smallest probability, above 0; of k values in f32 about k times 2^-24.
package func tailLogprob(besides listed: [Double], resolution: Double) -> Double {
    log(max(1 - listed.reduce(0) { $0 + exp($1) }, resolution))
}
