/// How a run is: who is there, what waits for whom. Anybody who reaches the learner may ask.
public struct Status: Sendable, Equatable {
    /// How far a batch is.
    public struct Batch: Sendable, Equatable {
        public var total: Int
        /// Without a trajectory.
        public var missing: Int
        /// With trajectory and grades.
        public var ready: Int

        public init(total: Int = 0, missing: Int = 0, ready: Int = 0) {
            self.total = total
            self.missing = missing
            self.ready = ready
        }
    }

    /// Trajectories that wait for a scorer of a teacher.
    public struct Queue: Sendable, Equatable {
        public var teacher: String
        public var waiting: Int

        public init(teacher: String, waiting: Int) {
            self.teacher = teacher
            self.waiting = waiting
        }
    }

    public struct Member: Sendable, Equatable {
        public var name: String
        public var role: Role
        public var teachers: [String]
        public var leases: Int
        public var tasks: Int
        /// Tasks it asked to hold.
        public var window: Int
        public var state: String
        public var tokensPerSecond: Double
        /// Weight version in use; `Heartbeat.noVersion`: none yet.
        public var version: UInt64
        public var silenceSeconds: Double

        public init(
            name: String, role: Role, teachers: [String], leases: Int, tasks: Int, window: Int, state: String,
            tokensPerSecond: Double, version: UInt64, silenceSeconds: Double
        ) {
            self.name = name
            self.role = role
            self.teachers = teachers
            self.leases = leases
            self.tasks = tasks
            self.window = window
            self.state = state
            self.tokensPerSecond = tokensPerSecond
            self.version = version
            self.silenceSeconds = silenceSeconds
        }
    }

    public var runID: String
    public var epoch: UInt64
    /// Completed steps.
    public var version: UInt64
    /// Steps of the whole run.
    public var steps: UInt64
    public var uptimeSeconds = 0.0
    /// What the learner does, for a person.
    public var doing = ""
    /// Who is waited for, for a person; empty: nobody.
    public var waitingFor = ""
    /// Since the last rollout or grade that came in.
    public var waitingSeconds = 0.0
    public var batch = Batch()
    /// Of the evaluation under way; total 0: none.
    public var evaluation = Batch()
    /// Prompts that wait for a rollout worker.
    public var pendingGroups = 0
    public var queues: [Queue] = []
    public var leases = 0
    public var generated: UInt64 = 0
    public var trained: UInt64 = 0
    public var discarded: UInt64 = 0
    public var inFlight: UInt64 = 0
    public var members: [Member] = []

    public init(runID: String, epoch: UInt64, version: UInt64, steps: UInt64) {
        self.runID = runID
        self.epoch = epoch
        self.version = version
        self.steps = steps
    }
}
