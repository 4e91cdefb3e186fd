import JSON
import Wire

extension Status {
    /// Reads what ``json`` has written. The learner's epoch is not in it, and is 0 here.
    package init(json: String) throws(JSONFieldError) {
        let fields = try JSONFields(Array(json.utf8))
        self.init(
            runID: try fields.string("run_id"), epoch: 0, version: try fields.integer("version"),
            steps: try fields.integer("steps"))
        uptimeSeconds = try fields.double("uptime_s")
        doing = try fields.string("doing")
        waitingFor = fields.has("waiting_for") ? try fields.string("waiting_for") : nil
        waitingSeconds = try fields.double("waiting_s")
        batch = try Batch(try fields.fields("batch"))
        if fields.has("evaluation") { evaluation = try Batch(try fields.fields("evaluation")) }
        pendingGroups = try fields.integer("pending_prompts")
        for queue in try fields.list("queues") {
            queues.append(Queue(teacher: try queue.string("teacher"), waiting: try queue.integer("waiting")))
        }
        leases = try fields.integer("leases")
        generated = try fields.integer("tokens_generated")
        trained = try fields.integer("tokens_trained")
        discarded = try fields.integer("tokens_discarded")
        inFlight = try fields.integer("tokens_in_flight")
        copies = fields.has("copies") ? try fields.string("copies") : ""
        for member in try fields.list("members") { members.append(try Member(member)) }
    }
}

extension Status.Batch {
    fileprivate init(_ fields: JSONFields) throws(JSONFieldError) {
        self.init(
            total: try fields.integer("total"), missing: try fields.integer("missing"),
            ready: try fields.integer("ready"))
    }
}

extension Status.Member {
    fileprivate init(_ fields: JSONFields) throws(JSONFieldError) {
        let name = try fields.string("role")
        guard let role = Role(rawValue: name) else { throw JSONFieldError(description: "'role' is '\(name)'") }
        self.init(
            name: try fields.string("name"), role: role,
            teachers: try fields.array("teachers", of: "strings") { $0.string },
            leases: try fields.integer("leases"), tasks: try fields.integer("tasks"),
            window: try fields.integer("window"), state: try fields.string("state"),
            tokensPerSecond: try fields.double("tokens_per_second"),
            version: fields.has("version") ? try fields.integer("version") : MemberStatus.noVersion,
            silenceSeconds: try fields.double("silence_s"))
    }
}
