/// A prompt and the responses that continue it, in one batch: responses see the prompt's rows.
///
/// Rows are those of the whole batch. The prompt starts at position 0, every response at the prompt's end.
public struct AttentionGroup: Sendable {
    public var prompt: Segment
    public var responses: [Segment]

    public init(prompt: Segment, responses: [Segment] = []) {
        self.prompt = prompt
        self.responses = responses
    }

    /// Prompt, then responses.
    package var segments: [Segment] { [prompt] + responses }
}
