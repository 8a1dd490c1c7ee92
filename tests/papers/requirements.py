"""What the node has to do, each with the tests that hold it to that. The papers are written from here, and checked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Requirement:
    """One thing the node promises."""

    code: str
    sentence: str
    tests: tuple[str, ...]
    """As ``folder/file::test``, below tests/, without the parts ``test_`` and ``.py``."""


REQUIREMENTS = (
    Requirement("R01", "A slice that was acknowledged is never lost, whatever ends the node.", (
        "crash/seams::killed_at_the_seam", "crash/random_kills::random_kills", "storage/atomic::the_order_of_what_makes_it_durable",
        "steps/receive::without_its_row_a_slice_is_not_acknowledged_and_the_next_attempt_is", "worklist/database::a_commit_survives_a_power_cut",
    )),
    Requirement("R02", "Below the disk watermark it refuses for the time being, and loses nothing.", (
        "steps/receive::below_the_watermark_nothing_is_taken", "storage/atomic::a_real_full_disk", "storage/spool::a_full_disk_leaves_nothing",
    )),
    Requirement("R03", "Every series ends in one answer: positive, negative, or not analysed with a reason.", (
        "acceptance/real_data::everything_ends_in_one_report_or_reason", "core/completeness::every_series_closes_in_the_end",
        "worklist/jobs::a_series_that_kills_its_worker_ends_failed_and_reported", "core/reasons::every_code_in_the_table_is_used",
    )),
    Requirement("R04", "A series is complete by evidence; a partial one is marked PRELIMINARY and says what is missing.", (
        "core/completeness::a_close_is_final_only_on_evidence", "acceptance/completeness::split_over_associations",
        "acceptance/completeness::partial_is_preliminary_and_a_late_slice_supersedes_it", "reporting/sr::a_partial_series_is_preliminary_and_nothing_is_ever_verified",
    )),
    Requirement("R05", "Late slices make a new answer that names the one it replaces; what is no longer true is not sent.", (
        "steps/analyse::a_late_slice_discards_the_analysis_of_the_fragment", "steps/analyse::a_new_revision_names_the_report_before_it",
        "worklist/results::what_was_not_delivered_is_withdrawn_by_the_next_result",
    )),
    Requirement("R06", "Only a non-contrast axial head CT is read; every other series is told why not.", (
        "core/eligibility::corpus", "core/eligibility::one_slice_with_contrast_decides_for_the_series", "steps/assemble::a_study_of_another_body_part",
        "steps/assemble::one_series_of_a_study_is_read_and_the_others_say_why",
    )),
    Requirement("R07", "Order, gaps, tilt and Hounsfield units are established from the images before the network sees them.", (
        "core/eligibility::refused_geometry_rejects_with_its_own_code", "steps/stack::planes_are_exact_and_lie_from_the_lowest_up_whatever_came_first",
        "core/hounsfield::unsigned_with_the_usual_offset", "steps/analyse::a_series_with_unreadable_pixels_is_failed_and_reported",
    )),
    Requirement("R08", "The same series and model give the same scores and the same report, however often.", (
        "inference/engine::same_input_same_bits_also_after_a_fresh_load", "reporting/sr::the_same_input_gives_the_same_bytes",
        "steps/analyse::an_attempt_cut_short_before_its_commit_makes_the_same_object_again",
    )),
    Requirement("R09", "A report names the patient and study of the images, and the exact model that read them.", (
        "reporting/sr::patient_and_study_are_the_cts_and_the_equipment_is_ours", "reporting/sr::names_survive_in_every_character_set",
        "reporting/sr::tracking_uids_outlive_a_revision_and_device_uids_follow_the_weights", "reporting/sr::every_instance_of_the_series_is_evidence",
    )),
    Requirement("R10", "Reports are valid DICOM to independent validators.", (
        "interop/validators::is_clean_in_dciodvfy_dsrdump_and_our_own_checker", "interop/validators::pixelmed_is_content_with_each_kind_and_catches_what_is_broken",
        "interop/report_in_orthanc::reports_come_back_as_they_went",
    )),
    Requirement("R11", "Results wait for a PACS that is away, arrive once, and failures are visible.", (
        "steps/deliver::a_pacs_down_for_48_hours_gets_everything_once", "steps/deliver::a_permanent_refusal_is_visible_and_retried_on_demand",
        "acceptance/commitment::what_orthanc_lost_is_sent_again_and_committed",
    )),
    Requirement("R12", "A positive is told once a channel; what turns out wrong is corrected there and in the archive.", (
        "acceptance/channels::a_head_ct_is_told_to_every_channel_once", "crash/notices::killed_at_the_seam",
        "steps/retract::a_revision_that_turns_the_call_round_is_corrected_and_the_old_one_rejected",
    )),
    Requirement("R13", "What may be bleeding comes first in delivery and on the worklist; analyses are taken in the order in which they came.", (
        "core/triage::what_may_be_bleeding_comes_first_and_what_needs_a_person_next", "steps/deliver::what_is_more_urgent_overtakes_what_has_waited",
        "web/worklist_page::unread_positives_first_then_what_failed_what_waits_and_the_rest",
    )),
    Requirement("R14", "It says everywhere that it is for research only, and never that anything is verified.", (
        "house::whoever_reads_a_result_is_told_what_it_is_for", "reporting/sentences::the_verdict_comes_first_the_notice_last_and_all_is_ascii",
        "conformance/statement::it_claims_nothing_but_research_use", "inference/bundle::the_shipped_bundle_says_what_it_is",
    )),
    Requirement("R15", "A model that was altered is not run; a worse one is not promoted; a promotion can be taken back.", (
        "inference/bundle::one_flipped_byte_of_the_weights_is_noticed", "training/gate::a_worse_one_is_refused",
        "acceptance/models::promoted_and_rolled_back_between_two_series",
    )),
    Requirement("R16", "A model that runs in the shadow is never heard.", (
        "acceptance/models::a_shadow_reads_beside_and_the_archive_never_hears_of_it", "steps/shadow::nothing_that_is_sent_can_be_written_by_it",
    )),
    Requirement("R17", "Only listed peers may send, and nobody sees a page or JSON without the right to.", (
        "dicom/access::title_and_address_have_to_match_one_entry", "dicom/access::without_entries_everybody_else_is_told_what_to_add",
        "web/attacks::no_door_is_open_to_strangers", "web/api::a_token_may_what_its_scopes_say_and_no_more",
    )),
    Requirement("R18", "Hostile input ends in a clear refusal, and the service goes on.", (
        "dicom/attacks::breaches_of_the_protocol_end_in_an_abort", "dicom/attacks::a_title_cannot_forge_a_log_line", "storage/spool::no_name_leads_out",
        "dicom/fuzz::whole_conversations_with_wounds", "dicom/fuzz::the_tls_port", "dicom/fuzz::frames_with_wounds",
        "dicom/decoding::a_size_that_stands_where_no_decoder_looks_counts_for_nothing", "dicom/tls::garbage_instead_of_records",
        "dicom/tls::a_certificate_that_only_openssl_takes_is_nobodys_and_costs_no_port",
        "web/who_gets_in::guessing_a_password_becomes_slow_and_the_right_one_has_to_wait_as_well",
    )),
    Requirement("R19", "No patient is named in logs, addresses, errors, or messages unless that is switched on.", (
        "house::no_patient_data_is_logged_or_raised", "web/attacks::the_log_names_no_patient", "web/attacks::no_address_that_a_page_offers_names_a_patient",
        "notify/hl7::a_patient_only_where_it_is_given", "notify/mail::patient_data_are_in_the_body_at_most",
    )),
    Requirement("R20", "Every view of a patient, on the pages or through the JSON, is written down.", (
        "web/worklist_page::every_view_of_patients_is_audited_and_a_renewal_only_where_it_shows_somebody_new", "web/node_page::the_audit_journal_is_for_administrators", "cli/audited::who_did_what", "cli/audited::no_command_is_forgotten",
    )),
    Requirement("R21", "What leaves for elsewhere names nobody.", (
        "cli/export::what_is_exported_names_nobody_and_teaches_the_lab", "dicom/deidentified::nothing_of_the_original_is_left_wherever_it_stood",
    )),
    Requirement("R22", "Nothing that is still needed is removed.", (
        "steps/prune::what_is_needed_stays_whatever_its_age_and_the_disk", "steps/prune::by_default_age_alone_removes_nothing", "crash/retention::killed_at_the_seam",
    )),
    Requirement("R23", "It is started again when it no longer moves, runs without privileges, and writes its data folder alone.", (
        "service::a_node_that_no_longer_looks_after_series_is_not_called_alive", "deploy/unit::it_is_hardened",
        "deploy/entry_point::a_head_is_answered_from_a_read_only_tree", "deploy/entry_point::it_cannot_write_elsewhere",
    )),
    Requirement("R24", "A database of another version is brought up to date, or refused in a sentence.", (
        "worklist/database::migrations_from_an_empty_file_give_the_tables_of_the_code", "worklist/database::a_worklist_of_a_newer_version_is_refused",
        "steps/upgrade::every_earlier_schema_comes_up_with_all_its_slices", "steps/upgrade::rolled_back_to_a_backup_of_the_worklist_what_came_since_is_adopted",
        "steps/upgrade::what_the_program_of_the_first_schema_left_when_it_was_killed_goes_on_under_this_one",
        "steps/upgrade::a_newer_worklist_is_refused_and_left_as_it_was",
    )),
    Requirement("R25", "What the archive has and did not send is looked for, fetched and answered, bounded for each series; where `[source]` fetches.", (
        "acceptance/silence::one_of_twenty_is_dropped_at_the_router_and_comes_all_the_same", "steps/reconcile::an_archive_that_counts_more_than_it_gives_makes_no_loop",
        "steps/reconcile::an_archive_that_is_down_is_asked_seldom_and_all_is_fetched_when_it_is_back", "steps/reconcile::after_a_long_silence_the_look_goes_back_as_far",
        "steps/fetch::what_the_service_cannot_give_costs_that_series_its_attempts_and_the_others_nothing",
        "acceptance/archives::by_c_move_from_an_archive_that_counts_nothing_with_a_reload_in_between", "acceptance/archives::by_wado_rs_from_dicomweb",
        "steps/fetch_ending::c_move_to_a_node_that_takes_no_more_is_no_fault_of_the_archive",
    )),
    Requirement("R26", "What is fetched by order (backfill, priors) comes behind all that somebody waits for, survives a crash, and is told to no channel.", (
        "acceptance/silence::a_backfill_is_counted_watched_killed_and_goes_on", "steps/order::what_was_ordered_is_analysed_last_told_to_nobody_and_stands_behind",
        "steps/order::no_channel_hears_of_what_was_ordered", "steps/order::slices_of_a_series_that_an_order_brought_in_part_and_that_come_by_themselves_are_waited_for",
    )),
    Requirement("R27", "A study without an answer for too long, and a sender that fell silent, are alarms until the facts change.", (
        "steps/alarm::a_study_without_an_answer_is_an_alarm_once_and_until_it_is_answered",
        "steps/alarm::a_study_that_never_came_is_an_alarm_for_as_long_as_a_look_takes_it_in", "steps/alarm::a_sender_that_fell_silent_is_an_alarm_until_it_sends_again",
    )),
    Requirement("R28", "Monitoring is told the truth: metrics are counted from rows, and each alarm was seen silent and ringing and says what to do.", (
        "web/monitoring::gauges_are_the_rows", "web/monitoring::what_happens_after_the_start_is_counted_and_what_was_before_is_not",
        "web/monitoring::every_metric_of_the_alarms_and_the_dashboard_exists", "web/monitoring::prometheus_takes_the_rules_and_they_ring_when_they_should",
        "web/monitoring::every_alarm_was_tried_silent_and_ringing", "web/monitoring::every_alarm_says_what_to_do",
        "web/monitoring::ready_once_the_worker_is_and_no_more_when_it_stops", "steps/healthy::a_node_that_hangs_is_not_well",
    )),
    Requirement("R29", "Where a repository is named the audit journal reaches it in the form of PS3.15 A.5, over TLS, and no row is left out.", (
        "steps/relay_audit::rows_arrive_in_order_once_and_with_whom_they_concern", "steps/relay_audit::what_was_not_read_is_sent_again_and_nothing_is_lost",
        "steps/relay_audit::without_the_switch_patients_stay_here", "notify/atna::the_form_of_the_standard",
    )),
    Requirement("R30", "A backup of the running node holds everything that was acknowledged before, and comes back whole or not at all.", (
        "steps/backup::under_load_everything_acknowledged_before_is_in_it", "steps/backup::what_comes_back_is_what_was_there_and_what_waited_waits_on",
        "steps/backup::half_a_backup_is_none", "steps/backup::nobody_else_reads_a_backup_or_what_comes_of_it",
    )),
    Requirement("R31", "A stop or reload finishes what is in hand, begins nothing more, and costs what waits no attempt.", (
        "dicom/scp::draining_lets_open_associations_finish", "steps/deliver::a_drain_stops_between_two_objects_of_a_batch",
        "steps/fetch_ending::c_get_is_broken_off_between_two_images", "reload::what_cannot_be_used_changes_nothing_and_what_can_is_taken_up",
    )),
    Requirement("R32", "DICOM over TLS is that of PS3.15 B.12 with mutual certificates, each bound to its peer, and certificates that end are told in time.", (
        "dicom/tls::old_protocols_and_ciphers", "dicom/tls::each_association_is_a_handshake_of_its_own", "dicom/tls::another_certificate",
        "dicom/tls::a_renewed_certificate_is_used_without_a_restart", "interop/tls::from_a_scanner_over_the_node_to_a_pacs",
        "interop/tls::a_pacs_is_asked_gives_takes_and_commits_itself_over_tls", "cli/doctor_tls::is_told_in_time",
        "web/monitoring::each_file_says_when_it_ends_and_whether_it_is_of_use",
    )),
    Requirement("R33", "A work item is claimed once, under one Transaction UID, and ends as COMPLETED with its output or CANCELED with the reason; where `[workitems]` is set.", (
        "acceptance/workitems::a_head_is_completed_and_a_localizer_is_canceled_though_the_node_is_killed_before_it_records_the_end",
        "acceptance/workitems::killed_at_a_seam_it_goes_on_under_the_same_transaction_and_claims_once",
        "steps/perform::what_is_not_for_this_node_is_left_alone_even_where_the_service_offers_it", "steps/perform::what_the_archive_does_not_give_is_canceled_with_the_reason",
    )),
)  # fmt: skip


def path_and_name(test: str) -> tuple[str, str]:
    """Return file, below tests/, and function of a test as it is written above."""
    folder, _, rest = test.rpartition("/")
    file, _, name = rest.partition("::")
    return f"{folder}/test_{file}.py".lstrip("/"), f"test_{name}"
