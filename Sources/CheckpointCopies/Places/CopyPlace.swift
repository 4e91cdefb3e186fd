import Wording

/// A place for copies of checkpoints, whatever reaches it. All calls block, and are made by one thread at a time.
package protocol CopyPlace: Sendable {
    /// What a person calls it.
    var name: String { get }

    /// What is there. A place that is not there yet has nothing.
    func list() throws(PlaceError) -> PlacedCopies
    /// The bytes of a small object; nil: it is not there.
    func read(_ path: String, limit: Int) throws(PlaceError) -> [UInt8]?
    /// Writes a small object, and makes the place where it is missing.
    func write(_ bytes: [UInt8], to path: String) throws(PlaceError)
    /// Removes a small object.
    func delete(_ path: String) throws(PlaceError)

    /// Puts a folder there under a name, reads back there whether it has arrived as it was, and only then makes it whole.
    /// A copy that has the name is replaced.
    /// - Parameter manifest: lists the folder's files.
    func put(_ folder: String, as name: String, _ manifest: CopyManifest) throws(PlaceError)
    /// Sizes of the files of a copy with this list, by their paths within it: what is cut off is known before it is fetched.
    func sizes(of name: String, _ manifest: CopyManifest) throws(PlaceError) -> [String: UInt64]
    /// Gets the files of a whole copy into a folder that is there. They are checked by the caller.
    func get(_ name: String, _ manifest: CopyManifest, into folder: String) throws(PlaceError)
    /// Removes a copy; it no longer counts from the first moment on.
    func remove(_ name: String) throws(PlaceError)
    /// Ends what is under way, from any thread: a call that waits fails soon.
    func stop()
}

/// A place does not do what is asked of it: which, and why, in one line.
package struct PlaceError: MessageError, Equatable {
    package var message: String
    package init(_ place: String, _ message: String) { self.message = "\(place): \(message)" }
}

extension CopyPlace {
    /// Writes a small object, reads it back, and removes it.
    package func probe() throws(PlaceError) {
        let path = ".probe-\(String(UInt64.random(in: 1 ... .max), radix: 16))"
        let bytes = Array("opd wrote this to see whether copies can be kept here\n".utf8)
        try write(bytes, to: path)
        let read = try read(path, limit: 1 << 12)
        try delete(path)
        guard read == bytes else { throw PlaceError(name, "what is written there is not read back as it was") }
    }

    /// What a copy is made of; nil when its list is missing or not whole.
    package func manifest(of name: String) throws(PlaceError) -> CopyManifest? {
        try read("\(name)/\(CopyManifest.fileName)", limit: CopyManifest.mostBytes).flatMap { CopyManifest($0) }
    }
}
