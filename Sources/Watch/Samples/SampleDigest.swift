import Files
import JSON
import RunFiles
import SystemPackage

/// The responses of a run that are shown, as JSON, in bounded space.
package struct SampleDigest {
    /// One object a response, by step.
    private(set) var json: [String] = []
    /// Responses in the file, as far as it was read.
    package private(set) var total = 0
    private(set) var notes: [String] = []
    private var byteCount = 0

    /// Most tokens of a response, and characters of a prompt or a response, that are shown.
    static let tokenLimit = 600, textLimit = 6000
    /// Most bytes of `samples.jsonl` that are read.
    static let readLimit = 512 << 20
    /// Most values of a line: those of 200,000 tokens.
    private static let valueLimit = 1 << 20

    /// - Parameter budget: about the most bytes of JSON.
    package init(of run: RunFolder, budget: Int) {
        var choice = SampleChoice(), unreadable = 0
        do {
            let report = try LineScanner(budget: Self.readLimit).scan(run.samples) { bytes, offset in
                if bytes.isEmpty { return }
                if let outline = SampleOutline(bytes, offset: offset) { choice.add(outline) } else { unreadable += 1 }
            }
            unreadable += report.tooLong
            if report.isSampled {
                notes.append(
                    "samples.jsonl has \(report.size >> 20) MiB, of which \(Self.readLimit >> 20) MiB were looked at, evenly spread"
                )
            }
            let places = try PlaceReader(run.samples)
            read(choice, places, budget: budget)
        } catch {
            notes.append(error.code == .noSuchFileOrDirectory ? "samples.jsonl is not there" : error.description)
        }
        total = choice.total
        if unreadable > 0 {
            notes.append("samples.jsonl: \(unreadable) of its lines are no responses and are left out")
        }
    }

    private mutating func read(_ choice: SampleChoice, _ places: borrowing PlaceReader, budget: Int) {
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
        json = taken.sorted { $0.outline.offset < $1.outline.offset }.map(\.json)
    }
}

extension SampleDigest {
    /// A response as the page takes it; `b` and `t` are log-probabilities of sampler and teacher, one a token.
    static func json(_ sample: SampleLine) -> String {
        let count = max(sample.ids.count, max(sample.studentLogprobs.count, sample.teacherLogprobs.count))
        let shown = min(sample.ids.count, tokenLimit)
        var fields: [(name: String, json: String)] = [
            ("step", String(sample.step)), ("id", JSONText.string(RunText.cut(sample.id, to: 60))),
            ("kind", JSONText.string(RunText.cut(sample.kind, to: 60))),
            ("teacher", JSONText.string(RunText.cut(sample.teacher, to: 200))),
            ("finish", JSONText.string(RunText.cut(sample.finishReason, to: 60))),
            ("prompt", JSONText.string(RunText.cut(sample.prompt, to: textLimit))),
            ("length", String(count)), ("ids", JSONText.array(sample.ids.prefix(shown))),
            ("b", JSONText.array(sample.studentLogprobs.prefix(shown))),
            ("t", JSONText.array(sample.teacherLogprobs.prefix(shown))),
        ]
        if let pieces = pieces(of: sample, count: shown) {
            fields.append(("pieces", "[" + pieces.map(JSONText.string).joined(separator: ",") + "]"))
        } else {
            fields.append(("response", JSONText.string(RunText.cut(sample.response, to: textLimit))))
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

    /// Mean of b - t over the tokens, in nats; nil where one of them was not recorded.
    static func divergence(of sample: SampleLine) -> Double? {
        let (b, t) = (sample.studentLogprobs, sample.teacherLogprobs)
        guard b.count == t.count, !b.isEmpty else { return nil }
        let sum = zip(b, t).reduce(0.0) { $0 + Double($1.0) - Double($1.1) }
        return sum.isFinite ? sum / Double(b.count) : nil
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
