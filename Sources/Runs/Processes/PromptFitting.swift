import Configuration
import Wording

/// Fits prompts into the contexts of those that read them, as `data.overlong` says, and counts what that took.
package struct PromptFitting {
    private let rule: RunConfiguration.Data.Overlong
    private let maxTokens: Int
    private var count = 0, dropped = 0, truncated = 0, clipped = 0
    private var longest = 0, leastRoom = Int.max, leastContext = Int.max

    /// - Parameter maxTokens: of a response, where there is room for them.
    package init(_ rule: RunConfiguration.Data.Overlong, maxTokens: Int) {
        self.rule = rule
        self.maxTokens = maxTokens
    }

    /// The ids of a prompt that fit into a context together with its response.
    ///
    /// A prompt that is cut loses its beginning, whatever stands there: then its end has at least half of the context,
    /// and more where the response needs less.
    /// - Parameters:
    ///   - response: tokens of a response that is given; nil: none is.
    ///   - isSampled: whether a response is sampled, which needs one token at least.
    ///   - context: of whoever reads least, in tokens.
    ///   - name: of the prompt.
    /// - Returns: nil: it is left out.
    /// - Throws: `UsageError` where prompts that do not fit are refused.
    package mutating func fit(
        _ ids: [Int32], response: Int? = nil, isSampled: Bool = true, context: Int, named name: String
    ) throws(UsageError) -> [Int32]? {
        count += 1
        let needed = max(response ?? 0, isSampled ? 1 : 0)
        guard ids.count + needed > context else {
            if isSampled, ids.count + maxTokens > context {
                clipped += 1
                leastRoom = min(leastRoom, context - ids.count)
            }
            return ids
        }
        guard rule != .refuse else {
            throw UsageError(
                "\(name) has \(ids.count) tokens" + (response.map { " and \($0) of its response" } ?? "")
                    + ", for which the context of \(context) has no room; shorten it, or set data.overlong to drop or "
                    + "truncate")
        }
        longest = max(longest, ids.count + (response ?? 0))
        leastContext = min(leastContext, context)
        let kept = min(context - needed, max(context - max(response ?? 0, isSampled ? maxTokens : 0), context / 2))
        guard rule == .truncate, kept > 0 else {
            dropped += 1
            return nil
        }
        truncated += 1
        return Array(ids.suffix(kept))
    }

    /// What a person should know of it, a line each; `name` is the file's.
    /// - Throws: `UsageError` when nothing is left.
    package func notes(of name: String) throws(UsageError) -> [String] {
        let context = "the context of \(leastContext), the longest with \(longest) tokens"
        guard dropped < count || count == 0 else {
            throw UsageError(
                "\(name): none of its \(count) prompts fits into \(context); shorten them, or set data.overlong to truncate"
            )
        }
        var notes: [String] = []
        if dropped > 0 {
            notes.append("\(name): \(dropped) of \(count) prompts are left out: they do not fit into \(context)")
        }
        if truncated > 0 {
            notes.append(
                "\(name): \(truncated) of \(count) prompts are cut at the beginning: they do not fit into \(context)")
        }
        if clipped > 0 {
            notes.append(
                "\(name): \(clipped) of \(count) prompts leave less than sampling.max_tokens \(maxTokens) of the context, the "
                    + "longest \(leastRoom); their responses end there")
        }
        return notes
    }
}
