/// A number of a run that Prometheus reads, with the name that it has wherever it is told.
package struct RunMetric: Sendable {
    /// How a number changes.
    package enum Kind: String, Sendable {
        /// It only grows, until the process begins again.
        case counter
        case gauge
        /// The sum and the count of what was measured.
        case summary
    }

    package let name: String
    package let kind: Kind
    package let help: String

    private static func gauge(_ name: String, _ help: String) -> RunMetric {
        RunMetric(name: name, kind: .gauge, help: help)
    }
    private static func counter(_ name: String, _ help: String) -> RunMetric {
        RunMetric(name: name, kind: .counter, help: help)
    }

    // A run's progress.
    package static let step = gauge("opd_step", "Steps that are done.")
    package static let stepsWanted = gauge("opd_steps_wanted", "Steps of the whole run.")
    package static let isActive = gauge(
        "opd_run_active", "Whether a process of this machine has the run's folder.")
    package static let generated = counter("opd_tokens_generated_total", "Response tokens that were generated.")
    package static let trained = counter("opd_tokens_trained_total", "Response tokens that were trained.")
    package static let discarded = counter("opd_tokens_discarded_total", "Response tokens that were discarded.")
    package static let inFlight = gauge(
        "opd_tokens_in_flight", "Response tokens that are sampled and not trained on yet.")
    /// By `stage`.
    package static let operations = counter(
        "opd_operations_total", "Floating-point operations of models, by stage.")
    package static let badSteps = counter("opd_bad_steps_total", "Steps that were given up.")
    package static let restarts = counter("opd_restarts_total", "Restarts of the learner.")

    // What a learner knows of its members.
    package static let isLearnerUp = gauge("opd_learner_up", "Whether the learner answers.")
    package static let queuedPrompts = gauge("opd_queue_prompts", "Prompts that wait for a rollout worker.")
    /// By `teacher`.
    package static let queuedResponses = gauge("opd_queue_responses", "Responses that wait for a scorer.")
    package static let leases = gauge("opd_leases", "Tasks that members hold.")
    /// By `role`.
    package static let members = gauge("opd_members", "Members that take part.")

    // A member, by `member` and `role`.
    package static let memberTasks = gauge("opd_member_tasks", "Tasks that a member holds.")
    package static let memberSilence = gauge(
        "opd_member_silence_seconds", "Time since a member's last message.")
    package static let memberPace = gauge("opd_member_tokens_per_second", "Pace of a member.")
    package static let memberTokens = counter(
        "opd_member_tokens_total", "Response tokens that a member has sampled or graded.")
    package static let memberVersion = gauge(
        "opd_member_weights_version", "Version of the weights that a member works with.")
    /// By `stage`.
    package static let stageSeconds = counter(
        "opd_stage_seconds_total", "Time that a process was in a stage, such as training or waiting for work.")

    /// The numbers that have names of their own.
    private static let all = [
        step, stepsWanted, isActive, generated, trained, discarded, inFlight, operations, badSteps, restarts,
        isLearnerUp, queuedPrompts, queuedResponses, leases, members, memberTasks, memberSilence, memberPace,
        memberTokens, memberVersion, stageSeconds,
    ]
    private static let helps = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0.help) })

    /// What the metric with this name means; of one that has no name of its own that it is a member of `metrics.jsonl`.
    static func help(of name: String) -> String {
        helps[name] ?? "The last \(name.hasPrefix("opd_") ? String(name.dropFirst(4)) : name) of metrics.jsonl."
    }

    /// The last number of a member of `metrics.jsonl`. Prometheus writes units out.
    package static func column(_ member: String) -> RunMetric {
        let name = member.hasSuffix("_s") ? "opd_\(member.dropLast(2))_seconds" : "opd_\(member)"
        return gauge(name, help(of: name))
    }

    /// The label of a member of `metrics.jsonl` that has a number for each of some names: `tag` of `teacher_kl_by_tag`.
    package static func label(ofParts member: String) -> String {
        member.split(separator: "_").last.map(String.init) ?? member
    }
}
