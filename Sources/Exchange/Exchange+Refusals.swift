import Distillation
import Wire

/// Who may take part, and what is said of those who may.
extension Exchange {
    /// What a member's other arithmetic means; nil when it has the learner's, or one of them is not known.
    func difference(_ hello: Hello) -> String? {
        guard let ours = options.arithmetic, let theirs = hello.arithmetic, theirs != ours else { return nil }
        let what =
            hello.role == .rollout
            ? "importance ratios of its samples are nearly 1 where they should be 1"
            : "grades depend, in their last digits, on which scorer gives them"
        return "\(hello.name) rounds otherwise than the learner (another CPU, opd or oneDNN): \(what); "
            + "a run can be repeated bit for bit on CPUs of one kind only"
    }

    /// What a newcomer must not do to those who are there; nil when it does nothing of the kind.
    func clash(_ hello: Hello, _ peer: PeerID) -> Reject? {
        if members[peer] == nil, members.count >= options.memberLimit {
            return Reject(code: .invalidRequest, message: "the run has \(members.count) members, which is the most")
        }
        guard let other = members[named: hello.name], other.peer.key != peer.key, !isMoving(other, hello, peer) else {
            return nil
        }
        return Reject(
            code: .nameInUse,
            message: "a process with another key has joined as '\(hello.name)'; give every process a name of its own")
    }

    /// Whether a member may be coming through a relay now, or without the one that it came through.
    private func isMoving(_ other: Member, _ hello: Hello, _ peer: PeerID) -> Bool {
        other.role == hello.role
            && [other.peer.key, peer.key].contains { $0.map(options.relayKeys.contains) ?? false }
    }

    /// Whether a name is held by one who speaks still, so that it cannot have gone from a relay to another way.
    ///
    /// Then the newcomer is another process that has its name, or comes a little early: it is not answered, and says hello
    /// again.
    func isHeld(_ hello: Hello, by other: Member, against peer: PeerID, now: Duration) -> Bool {
        other.peer.key != peer.key && isMoving(other, hello, peer) && now - other.lastSign < Self.leastAbsence
    }

    /// Less than the time for which a member has no connection before it goes on with its next endpoint.
    private static var leastAbsence: Duration { .milliseconds(2_500) }

    /// Why a member cannot take part; nil: it can.
    func refusal(_ hello: Hello) -> Reject? {
        guard hello.protocolVersion == Codec.version else {
            return Reject(
                code: .protocolVersion,
                message: "\(hello.name) speaks protocol \(hello.protocolVersion), the learner \(Codec.version); "
                    + "use the same opd on both sides", protocolVersion: hello.protocolVersion)
        }
        if let reject = refusalOfTokenizer(hello) { return reject }
        let revision = max(plan.sampling.revision, plan.evaluationSampling.revision)
        if hello.role == .rollout, hello.samplingRevision < revision {
            return Reject(
                code: .invalidRequest,
                message:
                    "\(hello.name) does not know sampling.stop and sampling.min_tokens, which this run has; use the "
                    + "same opd on both sides")
        }
        if hello.role == .rollout, let reject = refusalOfEnvironment(hello) { return reject }
        if hello.role == .scorer, hello.mostTopTokens < plan.topTokens {
            let most = hello.mostTopTokens == 0 ? "tells of no" : "tells of at most \(hello.mostTopTokens)"
            return Reject(
                code: .unsuitableTeacher,
                message: "\(hello.name) \(most) tokens besides the sampled one, and this run needs the teacher's "
                    + "\(plan.topTokens) most probable ones (objective.top_k); use the same opd on both sides, or "
                    + "objective.divergence: sampled")
        }
        if hello.role == .scorer, let reject = refusalOfHead(hello) ?? refusalOfFollower(hello) { return reject }
        if hello.role == .scorer, plan.asksTogether(hello.teachers) {
            return Reject(
                code: .unsuitableTeacher,
                message:
                    "\(hello.name) grades for \(hello.teachers.sorted().joined(separator: ", ")), which grade the same "
                    + "prompts; start a scorer for each")
        }
        let known = known(hello.role)
        if hello.role == .rollout, hello.teachers.isEmpty || known.isEmpty { return clash(of: hello, known) }
        guard let unknown = hello.teachers.first(where: { !known.contains($0) }),
            hello.teachers.allSatisfy({ !known.contains($0) })
        else { return hello.teacher.flatMap { unsuitable($0, hello) } }
        return Reject(
            code: .unknownTeacher,
            message: "no prompt of this run asks for teacher '\(unknown)'; teachers: "
                + known.sorted().joined(separator: ", "))
    }

    /// Why a worker cannot sample what this run calls a rollout: its episodes are in another environment, or in none.
    private func refusalOfEnvironment(_ hello: Hello) -> Reject? {
        guard hello.environment != plan.environment else { return nil }
        let theirs = hello.environment.map { "plays episodes in \($0)" } ?? "knows no environment"
        let ours = plan.environment.map { "this run's are in \($0)" } ?? "this run has none"
        return Reject(
            code: .invalidRequest,
            message: "\(hello.name) \(theirs), and \(ours); use the same opd on both sides, and give both the same "
                + "data.environment")
    }

    /// Why a member's teacher cannot do what the run asks of it; nil: it can, or it is not known whether it can.
    private func unsuitable(_ teacher: TeacherDescription, _ hello: Hello) -> Reject? {
        let name = hello.name, needed = plan.longestSequence(of: hello.teachers)
        if hello.role == .rollout, teacher.contextLength > 0, teacher.contextLength < needed {
            return Reject(
                code: .unsuitableTeacher,
                message: "the teacher of \(name) reads \(teacher.contextLength) tokens, and its longest prompt of this "
                    + "run with the response has up to \(needed); choose a teacher that reads more, shorter prompts, "
                    + "or a lower sampling.max_tokens")
        }
        let shown = hello.role == .scorer ? plan.longestView(of: hello.teachers) : 0
        if teacher.contextLength > 0, teacher.contextLength < shown {
            return Reject(
                code: .unsuitableTeacher,
                message:
                    "the teacher of \(name) reads \(teacher.contextLength) tokens, and the longest prompt that it is "
                    + "shown with the response has up to \(shown); choose a teacher that reads more, a shorter "
                    + "teachers.*.system or context_field, or a lower sampling.max_tokens")
        }
        let asked = known(hello.role).intersection(hello.teachers)
        guard let ours = options.templateIdentity, let theirs = teacher.templateIdentity, ours != theirs,
            !asked.allSatisfy({ options.equivalentTemplates[$0] == theirs })
        else { return nil }
        return Reject(
            code: .unsuitableTeacher,
            message: "the chat template of the teacher of \(name) differs from the student's, so it would read texts "
                + "of a form that it does not know; choose models with one template")
    }

    /// Teachers that members of a role may hold.
    func known(_ role: Role) -> Set<String> { role == .rollout ? plan.samplers : plan.teachers }

    /// A worker samples with the student or with a teacher, and so does a run.
    private func clash(of hello: Hello, _ samplers: Set<String>) -> Reject? {
        guard hello.teachers.isEmpty != samplers.isEmpty else { return nil }
        let (theirs, ours) = samplers.isEmpty ? ("a teacher", "the student") : ("the student", "teachers")
        return Reject(
            code: .unknownTeacher,
            message:
                "\(hello.name) samples with \(theirs), and this run with \(ours); give both the same objective.kind")
    }
}
