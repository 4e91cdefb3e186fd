/// A prompt and a response to it, as token ids.
///
/// Whatever is sampled, graded, imitated or trained on holds one: the samples of a prompt share its ids in memory, and
/// nobody joins the two but those that send or grade them as one.
package struct TokenSequence: Sendable, Hashable {
    /// What is given; it carries no loss.
    package var promptIDs: [Int32]
    /// What is predicted, the stop token included where there is one, and between it what `given` names.
    package var responseIDs: [Int32]
    /// Where tokens stand in the response that nobody sampled, an environment's: ascending, apart, each between tokens
    /// that are predicted. They are read and carry no loss.
    package var given: [Range<Int>]

    package init(promptIDs: [Int32], responseIDs: [Int32], given: [Range<Int>] = []) {
        self.promptIDs = promptIDs
        self.responseIDs = responseIDs
        self.given = given
    }

    /// - Parameter promptCount: where the response starts, 0 ... ids.count.
    package init(ids: [Int32], promptCount: Int) {
        self.init(promptIDs: Array(ids[..<promptCount]), responseIDs: Array(ids[promptCount...]))
    }

    /// The prompt and then the response; an array of its own.
    package var ids: [Int32] { promptIDs + responseIDs }
    /// Tokens of both.
    package var count: Int { promptIDs.count + responseIDs.count }
}

/// A value that says something of one token sequence.
package protocol TokenSequenceHolder {
    var tokens: TokenSequence { get set }
}

extension TokenSequenceHolder {
    package var promptIDs: [Int32] {
        get { tokens.promptIDs }
        set { tokens.promptIDs = newValue }
    }

    package var responseIDs: [Int32] {
        get { tokens.responseIDs }
        set { tokens.responseIDs = newValue }
    }
}
