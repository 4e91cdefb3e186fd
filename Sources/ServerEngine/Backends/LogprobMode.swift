import Distillation

/// What a server's log-probabilities of sampled tokens are of.
package enum LogprobMode: Sendable, Equatable {
    /// The model's distribution at temperature 1, whatever was sampled with.
    case raw
    /// The distribution divided by the temperature, before tokens are cut off.
    case tempered
    /// The very distribution that was drawn from.
    case processed

    /// A log-probability nearer to 0 than this is that of the only choice there was.
    private static let certain: Float = 1e-4

    /// Tells from the most probable token's log-probability when it alone could be drawn, at temperature 1 and 2; nil
    /// when the model is too sure of it to tell.
    package init?(atOne one: Float, atTwo two: Float) {
        if abs(one) < Self.certain, abs(two) < Self.certain {
            self = .processed
        } else if abs(one - two) < ServerProbe.repeatable {
            self = .raw
        } else if two < one {
            self = .tempered
        } else {
            return nil
        }
    }

    /// Why the log-probabilities would not be those that the importance ratio needs, of the tempered and whole
    /// distribution; nil when they are.
    package func refusal(of settings: SamplingSettings) -> String? {
        let isCut = settings.topP < 1 || settings.topK > 0
        let isTempered = settings.temperature != 1 && settings.temperature != 0
        switch self {
        case .tempered: return nil
        case .raw:
            return isTempered
                ? "reports log-probabilities before the temperature, so sampling.temperature \(settings.temperature) "
                    + "needs a server started with --logprobs-mode processed_logprobs" : nil
        case .processed:
            guard settings.minTokens == 0 || settings.stopTokenIDs.isEmpty else {
                return "reports log-probabilities without the tokens that sampling.min_tokens keeps out, so it needs a "
                    + "server started without --logprobs-mode processed_logprobs, or must be 0"
            }
            return isCut
                ? "reports log-probabilities after cutting tokens off, so sampling.top_p and top_k need a server "
                    + "started without --logprobs-mode processed_logprobs, or must be 1 and 0" : nil
        }
    }
}
