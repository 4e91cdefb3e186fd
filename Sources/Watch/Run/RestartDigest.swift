import Files
import RunFiles

/// When the learner began again from a checkpoint, as its log says.
struct RestartDigest: Sendable {
    /// One such restart.
    struct Restart: Sendable {
        /// The checkpoint's step; 0: it began from the first step.
        var step: Int
        /// The time as the log writes it.
        var time: String
    }

    private(set) var restarts = Thinned<Restart>(limit: 100)
    private(set) var notes: [String] = []
    private var starts = 0
    private var follower = LineFollower(LineScanner(limit: 1 << 16, budget: 64 << 20))

    /// Reads what has come since the last look.
    /// - Returns: whether anything has changed.
    @discardableResult
    mutating func follow(_ run: RunFolder) -> Bool {
        var follower = follower
        defer { self.follower = follower }
        let noted = notes
        // A link to another folder could lead anywhere.
        guard FileTree.kind(run.logs) == .folder, FileTree.kind(run.log("learner")) != .missing else {
            follower.forget()
            self = RestartDigest()
            notes = ["logs/learner.log is not there: restarts are not known"]
            return notes != noted
        }
        do {
            let report = try follower.follow(run.log("learner")) {
                self = RestartDigest()
            } line: { bytes, _ in
                // Looked at closely only where it can be such a line.
                guard bytes.count < 4096, bytes.count > 30 else { return }
                let line = String(decoding: bytes, as: UTF8.self)
                if line.contains(": listening at ") { starts += 1 }
                guard let restart = Self.restart(line) else { return }
                // A first start that may go on has nothing to go on from.
                if restart.step > 0 || starts > 1 { restarts.add(restart) }
            }
            guard report != nil else { return false }
            notes = []
            return true
        } catch {
            follower.forget()
            self = RestartDigest()
            notes = ["logs/learner.log cannot be read: restarts are not known"]
            return notes != noted
        }
    }

    /// The restart that a line of the log tells of: `TIME notice LABEL: going on from FOLDER/checkpoints/step-000040`.
    static func restart(_ line: String) -> Restart? {
        let parts = line.split(separator: " ", maxSplits: 3)
        // What a member said of itself can stand in a message, and never before it.
        guard parts.count == 4, parts[1] == "notice", parts[2].hasSuffix(":") else { return nil }
        let time = String(parts[0].prefix(30)), message = parts[3]
        if message.hasSuffix("has no checkpoint: starting from the first step") { return Restart(step: 0, time: time) }
        guard message.hasPrefix("going on from "), let name = message.split(separator: "/").last,
            name.hasPrefix("step-"), let step = Int(name.dropFirst(5)), step >= 0
        else { return nil }
        return Restart(step: step, time: time)
    }
}
