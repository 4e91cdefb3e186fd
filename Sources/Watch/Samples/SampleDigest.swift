import Files
import JSON
import RunFiles
import SystemPackage

/// Which responses of a run are shown, and where in its file they are, in bounded space.
package struct SampleDigest: Sendable {
    private var choice = SampleChoice()
    private var follower = LineFollower(LineScanner(budget: SampleDigest.readLimit))
    private var unreadable = 0
    /// Bytes of a file of which only parts were looked at.
    private var sampledSize: Int?
    private var failure: String?

    /// Most tokens of a response, and characters of a prompt or a response, that are shown.
    static let tokenLimit = 600, textLimit = 6000
    /// Most bytes of `samples.jsonl` that are read at once.
    static let readLimit = 512 << 20
    /// Most values of a line: those of 200,000 tokens with their alternatives.
    private static let valueLimit = 1 << 22

    init() {}

    /// Responses in the file, as far as it was read.
    package var total: Int { choice.total }

    var notes: [String] {
        var notes = [failure].compactMap(\.self)
        if let sampledSize {
            notes.append(
                "samples.jsonl has \(sampledSize >> 20) MiB, of which \(Self.readLimit >> 20) MiB were looked at, evenly spread"
            )
        }
        if unreadable > 0 {
            notes.append("samples.jsonl: \(unreadable) of its lines are no responses and are left out")
        }
        return notes
    }

    /// Reads what has come since the last look.
    /// - Returns: whether anything has changed.
    mutating func follow(_ run: RunFolder) -> Bool {
        var follower = follower
        defer { self.follower = follower }
        let failed = failure
        do {
            let report = try follower.follow(run.samples) {
                self = SampleDigest()
            } line: { bytes, offset in
                if bytes.isEmpty { return }
                if let outline = SampleOutline(bytes, offset: offset) { choice.add(outline) } else { unreadable += 1 }
            }
            guard let report else { return false }
            unreadable += report.tooLong
            if report.isSampled { sampledSize = report.size }
            failure = nil
            return true
        } catch {
            if follower.hasBegun { self = SampleDigest() }
            follower.forget()
            failure = error.code == .noSuchFileOrDirectory ? "samples.jsonl is not there" : error.description
            return failure != failed
        }
    }

    /// The responses as JSON, an object each, by their places in the file.
    /// - Parameter budget: about the most bytes.
    func json(of run: RunFolder, budget: Int) -> [String] {
        // Where the file is no longer there, nothing of it is shown.
        guard let places = try? PlaceReader(run.samples) else { return [] }
        var taken: [(outline: SampleOutline, json: String)] = []
        var seen: Set<Int> = []
        func take(_ outlines: [SampleOutline], upTo limit: Int, _ byteCount: inout Int) {
            for outline in outlines where byteCount < limit && seen.insert(outline.offset).inserted {
                let line = places.read(outline.count, at: outline.offset)
                // A run that goes on may have cut the file meanwhile.
                guard line.count == outline.count, let value = try? JSONValue.parse(line, limit: Self.valueLimit),
                    let fields = try? JSONFields(value), let sample = try? SampleLine(fields: fields)
                else { continue }
                let json = Self.json(sample)
                byteCount += json.utf8.count
                taken.append((outline, json))
            }
        }
        var byteCount = 0
        take(choice.followed, upTo: budget / 2, &byteCount)
        take(choice.others, upTo: budget, &byteCount)
        return taken.sorted { $0.outline.offset < $1.outline.offset }.map(\.json)
    }
}

extension SampleDigest {
    /// A response as the page takes it; `b` and `t` are log-probabilities of sampler and teacher, `h`, `r` and `a`
    /// entropies, ratios and advantages, one a token.
    static func json(_ sample: SampleLine) -> String {
        let (b, t) = (sample.studentLogprobs ?? [], sample.teacherLogprobs ?? [])
        let count = max(sample.ids.count, max(b.count, t.count))
        let shown = min(sample.ids.count, tokenLimit)
        var fields: [(name: String, json: String)] = [
            ("step", String(sample.step)), ("id", JSONText.string(RunText.cut(sample.id, to: 60))),
            ("kind", JSONText.string(RunText.cut(sample.kind, to: 60))),
            ("teacher", JSONText.string(RunText.cut(sample.teacher ?? "", to: 200))),
            ("finish", JSONText.string(RunText.cut(sample.finishReason, to: 60))),
            ("prompt", JSONText.string(RunText.cut(sample.prompt, to: textLimit))),
            ("length", String(count)), ("ids", JSONText.array(sample.ids.prefix(shown))),
            ("b", JSONText.array(b.prefix(shown))), ("t", JSONText.array(t.prefix(shown))),
        ]
        if let pieces = pieces(of: sample, count: shown) {
            fields.append(("pieces", "[" + pieces.map(JSONText.string).joined(separator: ",") + "]"))
        } else {
            fields.append(("response", JSONText.string(RunText.cut(sample.response, to: textLimit))))
        }
        if let given = sample.given {
            let spans = given.filter { $0.lowerBound < shown }.map { "[\($0.lowerBound),\($0.count)]" }
            fields.append(("given", "[" + spans.joined(separator: ",") + "]"))
        }
        if let alternatives = sample.alternatives {
            fields.append(("top", "[" + alternatives.prefix(shown).map(Self.json).joined(separator: ",") + "]"))
            let forks = Self.forks(sample.ids.prefix(shown), alternatives)
            fields.append(("forks", JSONText.array(forks.map(UInt64.init))))
        }
        for (name, values) in [("h", sample.entropies), ("r", sample.ratios), ("a", sample.advantages)] {
            if let values { fields.append((name, JSONText.array(values.prefix(shown)))) }
        }
        if let divergence = divergence(of: sample) { fields.append(("divergence", JSONText.number(divergence))) }
        let versions = sample.versions.prefix(shown)
        if let first = versions.first, versions.allSatisfy({ $0 == first }) {
            fields.append(("version", String(first)))
        } else if !versions.isEmpty {
            fields.append(("versions", JSONText.array(versions)))
        }
        if !sample.tags.isEmpty {
            let tags = sample.tags.prefix(16).map { JSONText.string(RunText.cut($0, to: 100)) }
            fields.append(("tags", "[" + tags.joined(separator: ",") + "]"))
        }
        if let verdict = sample.verdict {
            fields += [("reward", JSONText.number(verdict.reward)), ("passed", verdict.passed ? "true" : "false")]
        }
        return JSONText.object(fields)
    }

    /// Texts and log-probabilities in turn; of a token without a text its id.
    private static func json(_ choices: [SampleLine.Alternative]) -> String {
        let parts = choices.flatMap { choice in
            [
                choice.text.isEmpty ? String(choice.id) : JSONText.string(RunText.cut(choice.text, to: 60)),
                JSONText.number(choice.logprob),
            ]
        }
        return "[" + parts.joined(separator: ",") + "]"
    }

    /// Where the response leaves what its teacher would have written: another token is more probable to it.
    static func forks(_ ids: some Collection<Int32>, _ alternatives: [[SampleLine.Alternative]]) -> [Int] {
        zip(ids, alternatives).enumerated().compactMap { index, place in
            guard let most = place.1.map(\.logprob).max() else { return nil }
            return place.1.contains { $0.id == place.0 && $0.logprob == most } ? nil : index
        }
    }

    /// Mean of b - t over the sampled tokens, in nats; nil where one of them was not recorded. Of what an environment said
    /// both are 0.
    static func divergence(of sample: SampleLine) -> Double? {
        guard let b = sample.studentLogprobs, let t = sample.teacherLogprobs, b.count == t.count, !b.isEmpty
        else { return nil }
        let sum = zip(b, t).reduce(0.0) { $0 + Double($1.0) - Double($1.1) }
        let sampled = (sample.given ?? []).reduce(b.count) { $0 - $1.count }
        return sum.isFinite && sampled > 0 ? sum / Double(sampled) : nil
    }

    /// The text that each of the first tokens completes; nil where that was not recorded, or does not fit the text.
    static func pieces(of sample: SampleLine, count: Int) -> [String]? {
        guard let ends = sample.ends, ends.count == sample.ids.count, !ends.isEmpty else { return nil }
        let bytes = Array(sample.response.utf8)
        var pieces: [String] = [], start = 0
        for end in ends {
            guard end >= start, end <= bytes.count else { return nil }
            if pieces.count < count {
                guard let piece = String(validating: bytes[start..<end], as: UTF8.self) else { return nil }
                pieces.append(RunText.cut(piece, to: 200))
            }
            start = end
        }
        return start == bytes.count ? pieces : nil
    }
}
