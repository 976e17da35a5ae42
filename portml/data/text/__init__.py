"""Text: tokenizers, padding, loaders, and readers of text that Debian ships."""

from __future__ import annotations

from portml.data.text.catalogues import read_catalogue, read_catalogues
from portml.data.text.context_counts import ContextCounts
from portml.data.text.king_james import Verse, read_king_james
from portml.data.text.loaders import BucketLoader, TextWindows, WindowLoader
from portml.data.text.padding import SequenceDataset, pad_sequences, padding_mask
from portml.data.text.parallel import ParallelDataset, distinct_messages, split_by_message
from portml.data.text.subwords import SubwordTokenizer, train_byte_level_bpe, train_word_piece
from portml.data.text.vocabulary import CharacterTokenizer, Vocabulary, WordTokenizer, split_words

__all__ = [
    "BucketLoader",
    "CharacterTokenizer",
    "ContextCounts",
    "ParallelDataset",
    "SequenceDataset",
    "SubwordTokenizer",
    "TextWindows",
    "Verse",
    "Vocabulary",
    "WindowLoader",
    "WordTokenizer",
    "distinct_messages",
    "pad_sequences",
    "padding_mask",
    "read_catalogue",
    "read_catalogues",
    "read_king_james",
    "split_by_message",
    "split_words",
    "train_byte_level_bpe",
    "train_word_piece",
]
