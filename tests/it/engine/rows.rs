//! Every pitfall of the model runtime that was found when it was chosen, and the test that proves it cannot happen here.

use std::{fs, path::Path};

/// Number, what happens in the runtime or its neighbours, and the tests; `GPU` where only a run on one can tell.
const ROWS: [(u32, &str, &[&str]); 43] = [
    (
        1,
        "a number with a point cannot be read in this binary",
        &[
            "the_checkpoint_loads_beside_fhirbolt",
            "both_spellings_stage_to_the_same_bytes_without_a_fraction",
            "the_raw_configuration_still_cannot_be_loaded",
            "fractional_log_probabilities_are_read_by_plain_structs_only",
        ],
    ),
    (
        2,
        "a missing field makes it another model",
        &["every_required_field_is_named_when_it_is_missing", "the_checkpoint_loads_beside_fhirbolt"],
    ),
    (3, "renamed fields are lost", &["both_spellings_stage_to_the_same_bytes_without_a_fraction"]),
    (4, "the automatic number format overflows", &["the_number_format_follows_from_the_device"]),
    (5, "the device asked for is ignored", &["defaults_pass_and_nonsense_is_named", "GPU"]),
    (6, "every GPU is opened, layers move in silence", &["GPU"]),
    (7, "files of other names are skipped, pickles are read", &["other_weight_files_are_refused_by_name"]),
    (8, "a missing weight fails when it is used", &["a_tensor_that_is_dropped_reshaped_or_renamed_is_named"]),
    (
        9,
        "a damaged file is a panic, a template in any file wins",
        &["every_truncated_file_is_a_sentence_and_no_panic", "templates_of_the_checkpoint_have_no_effect"],
    ),
    (10, "nothing else limits the context", &["a_prompt_that_is_too_long_never_reaches_the_runtime"]),
    (11, "quantisation is skipped without an error", &["what_only_a_gpu_can_prove_is_refused"]),
    (12, "quantisation leaks into the next model", &["what_only_a_gpu_can_prove_is_refused"]),
    (13, "a weaker quantisation is taken", &["what_only_a_gpu_can_prove_is_refused"]),
    (14, "weights quantised before do not work", &["what_only_a_gpu_can_prove_is_refused"]),
    (15, "loading blocks", &["the_server_answers_while_a_model_is_loading"]),
    (16, "a token is read and a folder made", &["a_model_loads_without_network_and_without_a_home"]),
    (
        17,
        "a model that computes no numbers loads",
        &["a_checkpoint_with_nan_weights_never_becomes_ready", "a_model_that_cannot_see_never_becomes_ready"],
    ),
    (18, "two <bos>", &["a_prompt_begins_with_exactly_one_bos"]),
    (
        19,
        "control tokens in data are live",
        &["the_control_tokens_of_a_prompt_are_those_the_template_wrote", "neutral_text_holds_no_control_token"],
    ),
    (20, "pictures go before the text", &["texts_and_pictures_stay_in_their_order"]),
    (
        21,
        "pictures are squeezed, and cached without their shape",
        &["what_the_model_must_not_see_never_reaches_it", "films_are_padded_to_a_square", "pan_and_scan_is_always_off"],
    ),
    (22, "prefill cannot be interrupted", &["GPU"]),
    (23, "the length is checked before pictures are expanded", &["our_count_is_the_runtimes_count"]),
    (
        24,
        "two equal prompts with pictures fail together",
        &["sixteen_equal_requests_with_a_picture_get_sixteen_equal_answers", "one_call_is_in_the_engine"],
    ),
    (25, "a text of equal length takes a picture away", &["a_picture_and_a_text_of_equal_length_do_not_meet"]),
    (26, "a preempted prompt loses its pictures", &["prompts_of_mixed_lengths_are_answered_as_alone"]),
    (27, "fast attention looks the wrong way", &["what_only_a_gpu_can_prove_is_refused", "GPU"]),
    (28, "the prefix cache mixes questions up", &["a_second_question_about_a_picture_is_answered_as_the_first"]),
    (29, "the softmax is computed in few bits", &["GPU"]),
    (30, "a slow reader stalls everybody", &["who_leaves_or_does_not_read_harms_nobody"]),
    (
        31,
        "a receiver dropped too early kills the engine",
        &["the_receiver_is_kept_until_the_first_chunk", "calls_that_lose_answers_are_not_used"],
    ),
    (
        32,
        "a stream ends without saying so",
        &[
            "an_answer_cut_inside_a_character_is_cut_and_not_lost",
            "a_stream_without_an_end_is_never_an_answer",
            "a_closed_answer_never_passes_for_a_whole_one",
            "nothing_is_heard_after_the_end",
        ],
    ),
    (33, "the first piece is trimmed", &["white_space_around_an_answer_is_no_fault"]),
    (
        34,
        "errors quote the prompt",
        &["a_prompt_that_fails_is_nowhere_told", "control_words_are_text_and_texts_are_not_printed"],
    ),
    (
        35,
        "sampling depends on who asked before",
        &["equal_questions_get_equal_answers_with_another_between", "what_is_admitted_fits_the_context"],
    ),
    (36, "stop texts leak", &["an_answer_ends_before_a_stop_text", "a_stop_text_never_reaches_the_caller"]),
    (37, "white space without end", &["a_random_model_completes_the_answers_form_within_its_bound"]),
    (38, "a cut answer looks like one", &["a_cut_answer_is_no_answer"]),
    (
        39,
        "nothing can be thought under a constraint",
        &[
            "an_answer_under_a_schema_is_thought_about_in_a_call_of_its_own",
            "reasoning_is_kept_apart_and_never_left_open",
        ],
    ),
    (40, "probabilities are none", &["label_probabilities_are_the_softmax_over_the_labels_logits"]),
    (41, "times of nothing", &["the_times_of_an_answer_of_one_token_are_real_ones"]),
    (
        42,
        "a dead engine is replaced without a word",
        &[
            "an_engine_that_dies_under_load_costs_nobody_an_answer",
            "a_death_before_the_first_word_is_survived_and_a_later_one_told",
        ],
    ),
    (
        43,
        "the binary asks too much of the machine",
        &["the_processor_that_runs_this_test_will_do", "the_cpu_binary_needs_no_gpu_library"],
    ),
];

#[test]
fn every_pitfall_has_its_test() {
    let mut texts = String::new();
    for folder in ["src", "tests"] {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut texts);
    }
    for (expected, (number, what, tests)) in (1..).zip(ROWS) {
        assert_eq!(number, expected, "{what}");
        assert!(!tests.is_empty(), "row {number}: {what}");
        for test in tests.iter().filter(|test| **test != "GPU") {
            assert!(texts.contains(&format!("fn {test}(")), "row {number}, {what}: no test is called {test}");
        }
    }
}

fn collect(folder: &Path, texts: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder of the source tree").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, texts);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            texts.push_str(&fs::read_to_string(&path).expect("a source file"));
        }
    }
}
