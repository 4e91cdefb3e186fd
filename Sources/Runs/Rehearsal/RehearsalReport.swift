import JSON

/// What a dry run tells a person.
package struct RehearsalReport: Sendable, Equatable {
    /// Processes of one kind.
    package struct Process: Sendable, Equatable {
        /// What they do, such as `scorer of math`.
        var name: String
        var count: Int
        /// The memory of one of them; nil: it is elsewhere, or not known.
        var bytes: Int?
    }

    /// A part of a step.
    package struct Stage: Sendable, Equatable {
        var name: String
        /// How long it takes; nil: that is not known.
        var seconds: Double?
        /// Continues the line, for a person.
        var remark = ""
    }

    var name: String
    /// The first prompt as it is rendered.
    var promptText: String
    /// Its tokens, each with the text that it completes.
    var tokens: [(id: Int32, text: String)]
    /// What the prompt's teachers are shown in its place, and their labels; none: the same.
    var teacherPrompts: [(label: String, text: String, tokenCount: Int)]
    /// What ends a response.
    var ends: String
    var counts: String
    /// What is to be known of teachers that take the student's weights, a line for each.
    var followers: [String]
    var processes: [Process]
    var machineBytes: Int
    /// What a step is, for a person.
    var step: String
    var stages: [Stage]
    var steps: Int
    /// Whether every part waits for the one before.
    var isSynchronous: Bool

    package static func == (a: Self, b: Self) -> Bool { a.text == b.text }

    /// Tokens that are shown of a long prompt, at its beginning and at its end.
    private static let shownFirst = 200, shownLast = 100

    /// All of it, in lines.
    package var text: String {
        var lines = ["the first prompt, \(tokens.count) tokens:", promptText, "", "its tokens, and what they spell:"]
        let width = tokens.map { String($0.id).count }.max() ?? 1
        for (place, token) in tokens.enumerated() {
            if tokens.count > Self.shownFirst + Self.shownLast, place >= Self.shownFirst,
                place < tokens.count - Self.shownLast
            {
                if place == Self.shownFirst {
                    lines.append("  ... \(tokens.count - Self.shownFirst - Self.shownLast) more ...")
                }
                continue
            }
            let id = String(token.id)
            let space = String(repeating: " ", count: width - id.count)
            lines.append("  \(space)\(id)  \(JSONText.string(token.text))")
        }
        for shown in teacherPrompts {
            lines += ["", "the first prompt as teacher '\(shown.label)' is shown it, \(shown.tokenCount) tokens:"]
            lines.append(shown.text)
        }
        lines += ["", ends, counts] + followers + ["", "memory on this machine, about:"]
        for process in processes {
            let size = process.bytes.map(Self.size) ?? "not known"
            let count = process.count == 1 ? "" : " each, \(process.count) of them"
            lines.append("  \(Self.padded(process.name, 24)) \(size)\(count)")
        }
        lines.append(memorySum)
        lines += ["", "a step, \(step), takes at most about:"]
        for stage in stages {
            let time = stage.seconds.map(Self.time) ?? "not known"
            lines.append("  \(Self.padded(stage.name, 24)) \(time)\(stage.remark)")
        }
        lines.append(timeSum)
        lines += ["", "'\(name)' can start; nothing was trained, and nothing is left behind"]
        return lines.joined(separator: "\n")
    }

    private var memorySum: String {
        let sum = processes.reduce(0) { $0 + $1.count * ($1.bytes ?? 0) }
        let total = "  together \(Self.size(sum)), of \(Self.size(machineBytes))"
        return total
            + (sum > machineBytes
                ? ": more than there is; take fewer processes, a smaller training.token_budget, or lora.rank" : "")
    }

    private var timeSum: String {
        let known = stages.compactMap(\.seconds), sum = known.reduce(0, +), longest = known.max() ?? 0
        guard known.count == stages.count else { return "  together more than \(Self.time(sum))" }
        if isSynchronous {
            return "  together \(Self.time(sum)), one after the other; \(steps) steps: "
                + Self.time(sum * Double(steps))
        }
        return
            "  together \(Self.time(longest)) to \(Self.time(sum)), as they overlap; \(steps) steps: "
            + "\(Self.time(longest * Double(steps))) to \(Self.time(sum * Double(steps)))"
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    static func size(_ bytes: Int) -> String {
        let mebibytes = Double(bytes) / 1_048_576
        return mebibytes < 1024 ? "\(Int(mebibytes.rounded())) MiB" : "\(rounded(mebibytes / 1024)) GiB"
    }

    static func time(_ seconds: Double) -> String {
        switch seconds {
        case ..<0.0995: "\(Int((seconds * 1000).rounded(.up))) ms"
        case ..<120: "\(rounded(seconds)) s"
        case ..<7200: "\(Int((seconds / 60).rounded())) min"
        case ..<172_800: "\(rounded(seconds / 3600)) h"
        default: "\(rounded(seconds / 86_400)) days"
        }
    }

    private static func rounded(_ value: Double) -> String { String((value * 10).rounded() / 10) }
}
