import Tokenizers

/// A sequence in a slot; `pages` hold positions 0..<cached.
struct RunningSequence {
    let request: SampleRequest
    /// `weightChanges` when its prompt was computed, or computed anew.
    var weightChanges: Int
    var pages: [Int32]
    var cached: Int
    /// Whether keys are turned by the rotary embedding of long sequences.
    var isLong: Bool
    /// Whether its keys were computed anew while it ran: others do not take them.
    var wasRead = false
    var ids: [Int32] = []
    var logprobs: [Float] = []
    var versions: [UInt64] = []
    /// What looks for the texts that stop it; nil where none does.
    var stopTexts: StopTextMatcher?
    /// Whether its last token completed a stop text.
    var hasStopText = false

    /// Whether its next token is one of the first, among which no stop token may be.
    var keepsOutStops: Bool {
        ids.count < request.parameters.minTokens && !request.parameters.stopTokenIDs.isEmpty
    }

    /// Whether its last token ends it, not for its length.
    var isStopped: Bool {
        ids.count > request.parameters.minTokens
            && (hasStopText || ids.last.map(request.parameters.stopTokenIDs.contains) == true)
    }
}
