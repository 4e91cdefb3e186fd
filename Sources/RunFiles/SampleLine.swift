import Distillation
import JSON
import Tokens

/// A line of `samples.jsonl` or `suspects.jsonl`: a response with its log-probabilities.
package struct SampleLine: RunRecord, Equatable {
    /// What a verifier found.
    package struct Verdict: Sendable, Equatable {
        package var reward: Double
        package var passed: Bool
    }

    /// A token that might have stood at a place.
    package struct Alternative: Sendable, Equatable {
        package var id: Int32
        package var logprob: Float
        package var text: String
    }

    /// The step that trained on it, or after which it was evaluated.
    package var step: UInt64
    /// What is wrong with it; nil in `samples.jsonl`.
    package var flaw: String?
    package var id: String
    /// What the response is for, such as `train`.
    package var kind: String
    /// Label of the teacher that graded or gave the response; nil where there is none.
    package var teacher: String?
    /// The prompt as the model saw it.
    package var prompt: String
    package var response: String
    package var finishReason: String
    /// Token ids of the response.
    package var ids: [Int32]
    /// Log-probabilities, in nats, one a token of the response; nil where a teacher gave the response.
    package var studentLogprobs: [Float]?
    /// Log-probabilities, in nats, one a token of the response; nil where no teacher graded or gave it.
    package var teacherLogprobs: [Float]?
    /// Versions of the weights that sampled each token.
    package var versions: [UInt64]
    /// Bytes of `response`, in UTF-8, that are there after each token; nil where they were not recorded.
    package var ends: [Int]?
    /// Tokens of the response that an environment said, by spans that are ascending and apart; nil: none, or no such
    /// spans of this response.
    package var given: [Range<Int>]?
    /// What the prompt's line calls itself.
    package var tags: [String]
    /// What the teacher would rather have written at each token, the most probable first; nil where that was not
    /// recorded, or is not of this response.
    package var alternatives: [[Alternative]]?
    /// What the step that trained on it measured, one a token; nil where that was not recorded, or is not of this
    /// response.
    package var entropies: [Float]?
    package var ratios: [Float]?
    package var advantages: [Float]?
    /// What a verifier found; nil where none judged the response.
    package var verdict: Verdict?

    package init(fields: JSONFields) throws(JSONFieldError) {
        step = try fields.integer("step")
        flaw = fields.has("flaw") ? try fields.string("flaw") : nil
        id = try fields.string("id")
        kind = try fields.string("kind")
        let label = try fields.string("teacher")
        teacher = label.isEmpty ? nil : label
        prompt = try fields.string("prompt")
        response = try fields.string("response")
        finishReason = try fields.string("finish_reason")
        ids = try fields.integers("ids")
        studentLogprobs = try Self.logprobs("student_logprobs", fields)
        teacherLogprobs = try Self.logprobs("teacher_logprobs", fields)
        versions = try fields.integers("versions")
        ends = fields.has("ends") ? try fields.integers("ends") : nil
        given =
            fields.has("environment") ? Self.spans(try fields.array("environment", of: "spans") { $0 }, of: ids) : nil
        tags = fields.has("tags") ? try fields.array("tags", of: "strings") { $0.string } : []
        if fields.has("teacher_top_ids") { alternatives = Self.alternatives(fields, count: ids.count) }
        entropies = Self.measures("entropies", fields, count: ids.count)
        ratios = Self.measures("ratios", fields, count: ids.count)
        advantages = Self.measures("advantages", fields, count: ids.count)
        guard fields.has("passed") else { return }
        verdict = Verdict(reward: try fields.double("reward"), passed: try fields.bool("passed"))
    }

    /// Most alternatives of a token that are read.
    private static let mostAlternatives = 8

    private static func alternatives(_ fields: JSONFields, count: Int) -> [[Alternative]]? {
        guard let ids = try? fields.array("teacher_top_ids", of: "lists", { $0.array }), ids.count == count,
            let logprobs = try? fields.array("teacher_top_logprobs", of: "lists", { $0.array }),
            logprobs.count == count, let texts = try? fields.fields("teacher_top_texts")
        else { return nil }
        var all: [[Alternative]] = []
        for (ids, logprobs) in zip(ids, logprobs) {
            guard ids.count == logprobs.count, ids.count <= mostAlternatives else { return nil }
            var choices: [Alternative] = []
            for (id, logprob) in zip(ids, logprobs) {
                // What Double has as a number may be none as Float.
                guard let id = id.int.flatMap({ Int32(exactly: $0) }), let logprob = logprob.double.map({ Float($0) }),
                    logprob.isFinite
                else { return nil }
                let text = (try? texts.string(String(id))) ?? ""
                choices.append(Alternative(id: id, logprob: logprob, text: text))
            }
            all.append(choices)
        }
        return all
    }

    private static func spans(_ values: [JSONValue], of ids: [Int32]) -> [Range<Int>]? {
        var tokens = TokenSequence(promptIDs: [], responseIDs: ids)
        for value in values {
            guard let pair = value.array, pair.count == 2, let start = pair[0].int, let length = pair[1].int,
                ids.indices.contains(start), (1...ids.count).contains(length)
            else { return nil }
            tokens.given.append(start..<start + length)
        }
        return tokens.flawOfGiven == nil ? tokens.given : nil
    }

    private static func measures(_ name: String, _ fields: JSONFields, count: Int) -> [Float]? {
        guard let values = try? fields.floats(name), values.count == count, !values.isEmpty else { return nil }
        return values
    }

    private static func logprobs(_ name: String, _ fields: JSONFields) throws(JSONFieldError) -> [Float]? {
        let values = try fields.floats(name)
        return values.isEmpty ? nil : values
    }
}

extension RunFolder {
    /// The steps so far.
    package func readMetrics() throws(RecordError) -> RecordReader<StepMetrics> { try RecordReader(metrics) }
    /// The responses that were kept so far.
    package func readSamples() throws(RecordError) -> RecordReader<SampleLine> { try RecordReader(samples) }
    /// What was refused or spoilt a step so far.
    package func readSuspects() throws(RecordError) -> RecordReader<SampleLine> { try RecordReader(suspects) }
}
