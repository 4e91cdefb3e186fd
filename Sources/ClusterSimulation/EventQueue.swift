import HeapModule

/// What will happen in virtual time, in the order of time and, within a moment, of being said.
struct EventQueue<Event> {
    private struct Entry: Comparable {
        let at: Duration
        let serial: UInt64
        let event: Event

        static func == (left: Entry, right: Entry) -> Bool { left.serial == right.serial }
        static func < (left: Entry, right: Entry) -> Bool { (left.at, left.serial) < (right.at, right.serial) }
    }

    private var heap = Heap<Entry>()
    private var serial: UInt64 = 0

    mutating func add(_ event: Event, at time: Duration) {
        serial += 1
        heap.insert(Entry(at: time, serial: serial, event: event))
    }

    mutating func next() -> (at: Duration, event: Event)? { heap.popMin().map { ($0.at, $0.event) } }
}
