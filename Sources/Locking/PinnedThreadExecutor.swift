import CPlatform
import Glibc

/// An actor's own thread, so that long computation never blocks Swift's cooperative pool.
///
/// An actor returns it from `unownedExecutor` and must keep it alive. Jobs run in order of submission; the thread ends
/// when the executor is released, after the jobs already submitted.
package final class PinnedThreadExecutor: SerialExecutor {
    private let queue: JobQueue

    /// `name`: shown by debuggers and top, cut to 15 bytes.
    package init(name: String = "compute") {
        queue = JobQueue()
        let start = Unmanaged.passRetained(Start(queue: queue, name: name))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 8 << 20)
        var thread = pthread_t()
        let status = pthread_create(
            &thread, &attributes,
            { raw in
                guard let raw else { return nil }
                let start = Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
                cplatform_name_thread(start.name)
                start.queue.run()
                return nil
            }, start.toOpaque())
        pthread_attr_destroy(&attributes)
        guard status == 0 else { fatalError("cannot start a thread: check the process limit (ulimit -u)") }
    }

    deinit { queue.close() }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedSerialExecutor()
        // The thread holds the executor until the job has run: an actor released during its last job stays valid.
        queue.append { [self] in
            job.runSynchronously(on: executor)
            _ = self
        }
    }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    private final class Start {
        let queue: JobQueue
        let name: String
        init(queue: JobQueue, name: String) {
            self.queue = queue
            self.name = name
        }
    }
}

/// Closures run by one thread. All state is guarded by the mutex, hence unchecked.
private final class JobQueue: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var jobs: [() -> Void] = []
    private var closed = false

    init() {
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(condition)
        mutex.deallocate()
        condition.deallocate()
    }

    func append(_ job: @escaping () -> Void) {
        pthread_mutex_lock(mutex)
        jobs.append(job)
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    func close() {
        pthread_mutex_lock(mutex)
        closed = true
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    /// Runs jobs until closed and empty.
    func run() {
        while true {
            pthread_mutex_lock(mutex)
            while jobs.isEmpty && !closed { pthread_cond_wait(condition, mutex) }
            let batch = jobs
            jobs.removeAll(keepingCapacity: true)
            pthread_mutex_unlock(mutex)
            if batch.isEmpty { return }
            for job in batch { job() }
        }
    }
}
