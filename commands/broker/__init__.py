"""The broker of one machine: Apache Kafka with its log in the data folder, or one that keeps everything in memory."""
