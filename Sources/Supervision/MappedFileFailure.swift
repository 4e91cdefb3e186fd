import CPlatform

/// What becomes of a process that reads a mapped file which is not there any more.
package enum MappedFileFailure {
    /// From now on it ends with status 1 and one line that names the file, instead of with SIGBUS: model files are
    /// mapped, and another process may cut one short while it is read.
    package static func endWithOneLine() { _ = cplatform_report_bus_errors() }
}
