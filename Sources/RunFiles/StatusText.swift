import JSON
import Telemetry
import Wire
import Wording

extension Status {
    /// The status for a person: the run, what it waits for, and a line a member.
    package var text: String {
        var lines = [
            "run \(printable(runID)): step \(version) of \(steps), up for \(ProgressLine.duration(uptimeSeconds))",
            "learner: \(printable(doing))",
        ]
        if let waitingFor {
            lines.append("\(printable(waitingFor)); nothing has come for \(ProgressLine.duration(waitingSeconds))")
        }
        func progress(_ batch: Batch) -> String {
            "\(batch.total - batch.missing) sampled and \(batch.ready) graded of \(batch.total)"
        }
        if batch.total > 0 { lines.append("next batch: \(progress(batch))") }
        if evaluation.total > 0 { lines.append("evaluation: \(progress(evaluation))") }
        var queued = ["\(pendingGroups) prompts"]
        queued += queues.map { "\($0.waiting) responses for teacher '\(printable($0.teacher))'" }
        lines.append("queues: \(queued.joined(separator: ", ")); \(leases) leases out")
        lines.append(
            "tokens: \(generated) generated = \(trained) trained + \(discarded) discarded + \(inFlight) in flight")
        if !copies.isEmpty { lines.append("copies: \(printable(copies))") }
        if members.isEmpty { return (lines + ["no members"]).joined(separator: "\n") }
        let header = ["member", "role", "tasks", "leases", "weights", "tok/s", "silent", "state"]
        let rows = members.map { member in
            [
                printable(member.name),
                member.role == .rollout
                    ? "rollout" : "scorer of \(printable(member.teachers.joined(separator: ", ")))",
                "\(member.tasks)/\(member.window)", "\(member.leases)",
                member.role == .scorer || member.version == MemberStatus.noVersion ? "-" : "\(member.version)",
                ProgressLine.rate(member.tokensPerSecond), "\(ProgressLine.fixed(member.silenceSeconds, 1)) s",
                printable(member.state),
            ]
        }
        return (lines + [""] + TextTable.lines([header] + rows)).joined(separator: "\n")
    }

    /// The status for a program: one line of JSON, which `Status(json:)` reads.
    package var json: String {
        func object(_ batch: Batch) -> String {
            JSONText.object([
                ("total", "\(batch.total)"), ("missing", "\(batch.missing)"), ("ready", "\(batch.ready)"),
            ])
        }
        func list(_ values: [String]) -> String { "[" + values.joined(separator: ", ") + "]" }
        let queues = queues.map {
            JSONText.object([("teacher", JSONText.string($0.teacher)), ("waiting", "\($0.waiting)")])
        }
        let members = members.map { member in
            JSONText.object([
                ("name", JSONText.string(member.name)), ("role", JSONText.string(member.role.rawValue)),
                ("teachers", list(member.teachers.map { JSONText.string($0) })), ("leases", "\(member.leases)"),
                ("tasks", "\(member.tasks)"), ("window", "\(member.window)"),
                ("state", JSONText.string(member.state)),
                ("tokens_per_second", JSONText.number(member.tokensPerSecond)),
                ("version", member.version == MemberStatus.noVersion ? "null" : "\(member.version)"),
                ("silence_s", JSONText.number(member.silenceSeconds)),
            ])
        }
        return JSONText.object([
            ("run_id", JSONText.string(runID)), ("version", "\(version)"), ("steps", "\(steps)"),
            ("uptime_s", JSONText.number(uptimeSeconds)), ("doing", JSONText.string(doing)),
            ("waiting_for", waitingFor.map { JSONText.string($0) } ?? "null"),
            ("waiting_s", JSONText.number(waitingSeconds)), ("batch", object(batch)),
            ("evaluation", evaluation.total == 0 ? "null" : object(evaluation)),
            ("pending_prompts", "\(pendingGroups)"),
            ("queues", list(queues)), ("leases", "\(leases)"), ("tokens_generated", "\(generated)"),
            ("tokens_trained", "\(trained)"), ("tokens_discarded", "\(discarded)"),
            ("tokens_in_flight", "\(inFlight)"), ("members", list(members)),
            ("copies", copies.isEmpty ? "null" : JSONText.string(copies)),
        ])
    }
}

/// The text without what could move a terminal's cursor: names come from other machines.
private func printable(_ text: String) -> String {
    String(text.unicodeScalars.map { $0.isControl ? "?" : Character($0) })
}
